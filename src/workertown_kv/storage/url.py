"""From the text in `KV_DB` to a storage. The only place that knows the storages by name."""

import importlib
from typing import Final
from urllib.parse import unquote, urlsplit

from ..errors import OptionsError
from .contract import Storage

_SCHEMES: Final = {
    "memory": "memory://",
    "sqlite": "sqlite:///relative/path, sqlite:////absolute/path, or just a path",
    "redis": "redis://HOST, redis+sentinel://HOST,HOST/SERVICE, redis+cluster://HOST,HOST",
    "upstash": "upstash://TOKEN@HOST",
    "postgres": "postgres://USER:PASSWORD@HOST:PORT/DATABASE",
    "mysql": "mysql://USER:PASSWORD@HOST:PORT/DATABASE",
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
        case "postgres" | "postgresql":
            return _server("postgres", "PostgresStorage", url)
        case "mysql" | "mariadb":
            return _server("mysql", "MysqlStorage", url)
        case "redis" | "redis+sentinel" | "redis+cluster":
            return _server("redis", "RedisStorage", url)
        case "rediss" | "rediss+sentinel" | "rediss+cluster":
            return _server("redis", "RedisStorage", url)
        case "upstash" | "upstash+http":
            return _server("upstash", "UpstashStorage", url)
    raise OptionsError(
        f"There is no storage for {scheme}://; expected one of {'; '.join(_SCHEMES.values())}"
    )


def _sqlite(path: str) -> Storage:
    module = importlib.import_module(".sqlite", __package__)
    storage: Storage = module.SqliteStorage(path)
    return storage


def _server(module: str, name: str, url: str) -> Storage:
    storage: Storage = getattr(importlib.import_module(f".{module}", __package__), name)(url)
    return storage
