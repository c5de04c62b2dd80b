"""From the text in `KV_DB` to a storage. The only place that knows the storages by name."""

import importlib
from typing import Final
from urllib.parse import unquote, urlsplit

from ..errors import OptionsError
from .contract import Storage

_SCHEMES: Final = {
    "memory": "memory://",
    "sqlite": "sqlite:///relative/path, sqlite:////absolute/path, or just a path",
}


def storage_from_url(url: str) -> Storage:
    """The storage that a URL or the path of an SQLite file names, not opened yet.

    Its module, and with it its driver, is imported only now. Raises `OptionsError`.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        return _sqlite(url)
    match scheme:
        case "memory":
            if url != "memory://":
                raise OptionsError(f"{url!r} is no storage URL; expected memory://")
            module = importlib.import_module(".memory", __package__)
            storage: Storage = module.MemoryStorage()
            return storage
        case "sqlite":
            parts = urlsplit(url)
            if parts.netloc or not parts.path.strip("/") or parts.query or parts.fragment:
                raise OptionsError(f"{url!r} is no storage URL; expected {_SCHEMES['sqlite']}")
            return _sqlite(unquote(parts.path[1:]))
    raise OptionsError(
        f"There is no storage for {scheme}://; expected one of {'; '.join(_SCHEMES.values())}"
    )


def _sqlite(path: str) -> Storage:
    module = importlib.import_module(".sqlite", __package__)
    storage: Storage = module.SqliteStorage(path)
    return storage
