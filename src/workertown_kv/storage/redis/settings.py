"""From a URL to what it says. No message here shows any of the URL, since passwords are in it."""

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from ...errors import OptionsError
from ...options import Secret
from ..url_parts import url_parts

Address = tuple[str, int]
"""A host and a port."""

_CREDENTIALS: Final = "[USER:PASSWORD@]"
FORMS: Final = (
    f"redis://{_CREDENTIALS}HOST[:PORT][/DATABASE]",
    f"redis+sentinel://{_CREDENTIALS}HOST[:PORT],…/SERVICE[/DATABASE]",
    f"redis+cluster://{_CREDENTIALS}HOST[:PORT],…",
)
_PARAMETERS: Final = (
    "connections",
    "timeout",
    "prefix",
    "wait",
    "buckets",
    "ssl_ca_certs",
    "sentinel_username",
    "sentinel_password",
)
_PREFIX: Final = re.compile(r"[!-z|~]{1,100}")
"""Printable ASCII without braces, which mark the part of a key that decides on its slot."""


class Kind(StrEnum):
    """What stands behind the URL."""

    SINGLE = "redis"
    SENTINEL = "redis+sentinel"
    CLUSTER = "redis+cluster"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says."""

    kind: Kind
    hosts: tuple[Address, ...]
    """Of Redis; of the sentinels, where there are some."""
    service: str = ""
    """The name that the sentinels know the master by."""
    database: int = 0
    username: str | None = None
    password: Secret = Secret("")
    tls: bool = False
    ssl_ca_certs: str | None = None
    sentinel_username: str | None = None
    sentinel_password: Secret = Secret("")
    connections: int = 10
    """The most connections to each server."""
    timeout: float = 5.0
    """Seconds that an operation may take."""
    prefix: str = "kv"
    """Of all keys in Redis."""
    wait: int = 0
    """How many replicas must have a write."""
    buckets: int | None = None
    """Over how many buckets the entries are spread; `None`: as the data says."""


class _Malformed(ValueError):
    """Has what is wrong with a URL, and nothing of the URL itself."""


def parse_url(url: str) -> Settings:
    """Raises `OptionsError` for a URL that is malformed, or has an unknown parameter."""
    try:
        return _parsed(url)
    except _Malformed as error:
        wrong = str(error)
    except ValueError:
        wrong = "cannot be taken apart"
    # Raised out here, so that no traceback shows the error that has a part of the URL in it.
    raise OptionsError(
        f"The URL of the Redis {wrong}; expected one of {', '.join(FORMS)}; rediss for the same "
        "with TLS. Special characters in a password are percent-encoded"
    )


def _parsed(url: str) -> Settings:
    parts = url_parts(url)
    kind = Kind(re.sub("^rediss", "redis", parts.scheme))
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, separator, password = credentials.partition(":")
    if parts.fragment:
        raise _Malformed("has a #, which is %23 in a password")
    if username and not separator:
        raise _Malformed(
            "has a user without a password, which is :PASSWORD@ where Redis knows no users"
        )
    service, database = _path(kind, parts.path)
    found = Settings(
        kind=kind,
        hosts=tuple(_hosts(hosts, 26379 if kind is Kind.SENTINEL else 6379, kind)),
        service=service,
        database=database,
        username=unquote(username) or None,
        password=Secret(unquote(password)),
        tls=parts.scheme.startswith("rediss"),
        **_parameters(_query(parts.query), secret="@" in parts.query),
    )
    _check_no_half(found)
    return found


def _query(text: str) -> dict[str, str]:
    if not text:
        return {}
    return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True))


def _check_no_half(found: Settings) -> None:
    """Refuse parameters that would do nothing by themselves."""
    if found.ssl_ca_certs and not found.tls:
        raise OptionsError("ssl_ca_certs needs TLS; expected rediss:// in place of redis://")
    by_sentinels = found.sentinel_username or found.sentinel_password
    if by_sentinels and found.kind is not Kind.SENTINEL:
        raise OptionsError(
            "sentinel_username and sentinel_password are for sentinels; expected them in a URL "
            "that begins with redis+sentinel://"
        )
    if found.sentinel_username and not found.sentinel_password:
        raise OptionsError("sentinel_username needs a password; expected sentinel_password too")


def _hosts(text: str, default_port: int, kind: Kind) -> Iterator[Address]:
    hosts = text.split(",")
    if kind is Kind.SINGLE and len(hosts) > 1:
        raise _Malformed("has several hosts, which only sentinels and a cluster have")
    for host in hosts:
        parts = urlsplit(f"//{host}")
        if not parts.hostname or parts.netloc != host or "@" in host:
            raise _Malformed("has no host, or one without a name")
        yield parts.hostname, _port(parts, default_port)


def _port(parts: SplitResult, default: int) -> int:
    try:
        port = default if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not port:
        raise _Malformed("has a port that is not a whole number from 1 to 65535") from None
    return port


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """The service and the database that a path names."""
    names = [unquote(name) for name in path.strip("/").split("/")] if path.strip("/") else []
    service = names.pop(0) if kind is Kind.SENTINEL and names else ""
    if kind is Kind.SENTINEL and not service:
        raise _Malformed("does not name the service of the sentinels")
    if kind is Kind.CLUSTER and path[1:]:
        raise _Malformed("has a database, and a cluster has only one")
    database = names.pop() if names else "0"
    if names or not re.fullmatch("[0-9]{1,5}", database):
        raise _Malformed("has a database that is not a number, such as 0")
    return service, int(database)


def _parameters(given: Mapping[str, str], *, secret: bool) -> dict[str, Any]:
    """The parameters; where they may be a part of a password, none is shown."""
    for name in given:
        if name not in _PARAMETERS:
            near = difflib.get_close_matches(name, _PARAMETERS, n=1)
            shown = "that is not known" if secret else repr(name)
            hint = f"did you mean {near[0]}? Expected" if near and not secret else "expected"
            raise OptionsError(
                f"The URL of the Redis has a parameter {shown}; {hint} some of "
                f"{', '.join(_PARAMETERS)}"
            )
    found: dict[str, Any] = {}
    for name, text in given.items():
        match name:
            case "connections":
                found[name] = _whole(name, text, 1, 10_000)
            case "timeout":
                found[name] = _seconds(name, text)
            case "prefix":
                if not _PREFIX.fullmatch(text):
                    raise OptionsError("prefix: expected printable ASCII without spaces and braces")
                found[name] = text
            case "wait":
                found[name] = _whole(name, text, 0, 100)
            case "buckets":
                found[name] = _whole(name, text, 1, 1024)
            case "sentinel_password":
                found[name] = Secret(text)
            case _:
                found[name] = text or None
    return found


def _whole(name: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise OptionsError(f"{name}: expected a whole number from {least} to {most:,}")
    return int(text)


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.01 <= seconds <= 3600:
        raise OptionsError(f"{name}: expected seconds from 0.01 to 3600")
    return seconds
