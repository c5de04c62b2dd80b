"""Make the storage that the text in `KV_DB` names."""

import difflib
import importlib
import os
import re
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from ..errors import OptionsError
from ..options import Secret
from .contract import Storage

_FORMS: Final = {
    "memory": "memory://",
    "sqlite": "sqlite:///relative/path, sqlite:////absolute/path, or just a path",
    "redis": "redis://HOST, redis+sentinel://HOST,HOST/SERVICE, redis+cluster://HOST,HOST",
    "upstash": "upstash://TOKEN@HOST",
    "postgres": "postgres://USER:PASSWORD@HOST:PORT/DATABASE",
    "mysql": "mysql://USER:PASSWORD@HOST:PORT/DATABASE",
    "etcd": "etcd://HOST:PORT,HOST:PORT/PREFIX",
    "http": "https://HOST/PATH",
    "cloudflare-kv": "cloudflare-kv://ACCOUNT/NAMESPACE",
    "d1": "d1://ACCOUNT/DATABASE",
    "dynamodb": "dynamodb://REGION/TABLE",
    "libsql": "libsql://HOST",
}
"""The forms of the URLs of each storage, by the name of its module, with hyphens."""
_MODULES: Final = {
    **{name: name for name in _FORMS},
    "postgresql": "postgres",
    "mariadb": "mysql",
    "redis+sentinel": "redis",
    "redis+cluster": "redis",
    "rediss": "redis",
    "rediss+sentinel": "redis",
    "rediss+cluster": "redis",
    "upstash+http": "upstash",
    "etcds": "etcd",
    "https": "http",
}
"""The schemes, each with the name of the module of its storage, with hyphens."""
_CLASSES: Final = {"cloudflare-kv": "CloudflareKVStorage", "dynamodb": "DynamoDBStorage"}
"""The classes that do not have the names of their modules."""
_WITH_TOKEN: Final = frozenset({"cloudflare-kv", "d1", "http", "libsql"})
"""The modules of the storages that take a token beside the URL."""
_OF_CLOUDFLARE: Final = frozenset({"cloudflare-kv", "d1"})
CLOUDFLARE_TOKEN: Final = "CLOUDFLARE_API_TOKEN"  # noqa: S105  (the name of a variable)
"""The variable with the token for Cloudflare, as its own clients call it."""
_ALSO_CALLED: Final = {
    "file": "sqlite",
    "mem": "memory",
    "pg": "postgres",
    "pgsql": "postgres",
    "turso": "libsql",
    "valkey": "redis",
    "valkeys": "rediss",
    "workers-kv": "cloudflare-kv",
}
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_WINDOWS: Final = re.compile(r"[A-Za-z]:|.*\\", re.DOTALL)


def storage_from_url(url: str, *, token: Secret | None = None) -> Storage:
    """Make the storage that a URL or the path of an SQLite file names, not opened yet.

    A storage that takes a token beside its URL gets `token`; any other storage ignores it. Imports
    the module of the storage, and with it the driver, only now. Raises `OptionsError`.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator:
        _check_path(url)
        return _storage("sqlite", url)
    if scheme not in _MODULES:
        raise _unknown(scheme)
    if scheme == "sqlite":
        return _storage("sqlite", _path_of(url))
    if scheme != "memory":
        module = _MODULES[scheme]
        return _storage(module, url, **({"token": token} if module in _WITH_TOKEN else {}))
    if rest:
        raise OptionsError(f"{url!r} is no storage URL; expected memory://")
    return _storage("memory")


def takes_token(url: str) -> bool:
    """Return whether the storage that a URL names takes a token beside its URL."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and _MODULES.get(scheme.lower()) in _WITH_TOKEN


def is_of_cloudflare(url: str) -> bool:
    """Return whether a URL names a storage at Cloudflare, whose token no other server must get."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme.lower() in _OF_CLOUDFLARE


def _storage(name: str, *arguments: str, **named: Any) -> Storage:
    """Make the storage of a module, whose class has the name of the module."""
    imported = importlib.import_module(f".{name.replace('-', '_')}", __package__)
    kind = getattr(imported, _CLASSES.get(name, f"{name.capitalize()}Storage"))
    storage: Storage = kind(*arguments, **named)
    return storage


def _path_of(url: str) -> str:
    """Return the path in an SQLite URL."""
    parts = urlsplit(url)
    path = unquote(parts.path[1:])
    if parts.netloc or not path.strip("/") or parts.query or parts.fragment:
        rest = unquote(parts.netloc + parts.path)
        hint = f"; for a file of this name, sqlite:///{rest}" if parts.netloc else ""
        raise OptionsError(f"{url!r} is no storage URL; expected {_FORMS['sqlite']}{hint}")
    _check_path(path, is_certain=True)
    return path


def _check_path(path: str, *, is_certain: bool = False) -> None:
    """Refuse text that would name an odd file, and surely has another meaning."""
    if os.path.exists(path):  # noqa: PTH110  (Path raises for some impossible paths)
        return
    scheme = _SCHEME.match(path)
    if scheme is not None and not is_certain:
        # The rest is not shown: a URL that was meant for another storage may have a password.
        raise _unknown(scheme[1].lower(), scheme[0])
    if path.startswith("~"):
        whole = os.path.expanduser(path)  # noqa: PTH111  (Path raises for an unknown user)
        raise OptionsError(
            f"{path!r} begins with ~, which only a shell replaces; expected the whole path, such "
            f"as {whole if whole != path else '/home/ada/kv.sqlite'}"
        )
    if os.name != "nt" and _WINDOWS.match(path):
        raise OptionsError(
            f"'{path}' is a path of Windows; expected one of this system, such as /data/kv.sqlite"
        )
    if path.lower() in _MODULES and not is_certain:
        form = _FORMS[_MODULES[path.lower()]]
        raise OptionsError(
            f"{path!r} is a kind of storage; expected {form}, or ./{path} for an SQLite file of "
            "this name"
        )


def _unknown(scheme: str, given: str = "") -> OptionsError:
    """Return the error for an unknown scheme, or for a scheme that is given without slashes."""
    found = difflib.get_close_matches(scheme, _MODULES, n=1)
    near = _ALSO_CALLED.get(scheme) or (found[0] if found else None)
    forms = _FORMS[_MODULES[near]] if near else f"one of {'; '.join(_FORMS.values())}"
    hint = f"did you mean {near}://? Expected {forms}" if near else f"expected {forms}"
    if given:
        return OptionsError(
            f"What begins with {given} is neither a URL nor a path; {hint}, or ./{given}… for an "
            "SQLite file of this name"
        )
    return OptionsError(f"There is no storage for {scheme}://; {hint}")
