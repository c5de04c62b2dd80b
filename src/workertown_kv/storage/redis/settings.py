"""Parse the URL of Redis: a single server, a master watched by sentinels, or a cluster."""

import re
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ...errors import OptionsError
from ...options import Secret
from ..keyspace import KeyspaceParameters
from ..url_parts import Address, UrlForm, UrlParts

_CREDENTIALS: Final = "[USER:PASSWORD@]"


class Kind(StrEnum):
    """The kind of Redis that a URL names."""

    SINGLE = "redis"
    SENTINEL = "redis+sentinel"
    CLUSTER = "redis+cluster"


_PORTS: Final = {Kind.SINGLE: 6379, Kind.SENTINEL: 26379, Kind.CLUSTER: 6379}
_FORM: Final = UrlForm(
    name="URL of Redis",
    expected=f"one of redis://{_CREDENTIALS}HOST[:PORT][/DATABASE], "
    f"redis+sentinel://{_CREDENTIALS}HOST[:PORT],…/SERVICE[/DATABASE], "
    f"redis+cluster://{_CREDENTIALS}HOST[:PORT],…; rediss for the same with TLS. Special "
    "characters in a password are percent-encoded",
    ports={str(kind): port for kind, port in _PORTS.items()}
    | {kind.replace("redis", "rediss", 1): port for kind, port in _PORTS.items()},
)


class Parameters(KeyspaceParameters, frozen=True, kw_only=True):
    """The parameters after the `?`, and their defaults."""

    connections: Annotated[
        int, Meta(ge=1, le=10_000, description="a whole number from 1 to 10,000")
    ] = 10
    """The most connections to each server."""
    wait: Annotated[int, Meta(ge=0, le=100, description="a whole number from 0 to 100")] = 0
    """How many replicas must have a write."""
    buckets: Annotated[int, Meta(ge=1, le=1024, description="a whole number from 1 to 1,024")] = 0
    """Over how many buckets new data is spread. 0: as the data says."""
    ssl_ca_certs: str = ""
    """A file with the trusted certificates, instead of those that this machine trusts."""
    sentinel_username: str = ""
    sentinel_password: Secret = Secret("")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says about a Redis."""

    kind: Kind
    hosts: tuple[Address, ...]
    """The addresses of Redis, or of the sentinels."""
    service: str
    """The name by which the sentinels know the master."""
    database: int
    username: str | None
    password: Secret
    tls: bool
    parameters: Parameters


def parse_url(url: str) -> Settings:
    """Read a URL. Raises `OptionsError` if it is malformed, or a parameter is wrong."""
    parts = _FORM.split(url)
    kind = Kind(parts.scheme.replace("rediss", "redis"))
    if parts.user and parts.password is None:
        raise _FORM.malformed(
            "has a user without a password, which is :PASSWORD@ where Redis knows no users"
        )
    if kind is Kind.SINGLE and len(parts.hosts) > 1:
        raise _FORM.malformed("has several hosts, which only sentinels and a cluster have")
    if not all(name for name, _ in parts.hosts):
        raise _FORM.malformed("has no host, or a host without a name")
    service, database = _path(kind, parts)
    found = Settings(
        kind=kind,
        hosts=parts.hosts,
        service=service,
        database=database,
        username=parts.user or None,
        password=parts.password or Secret(""),
        tls=parts.scheme.startswith("rediss"),
        parameters=_FORM.parameters(parts, Parameters),
    )
    _check_combinations(found)
    return found


def _path(kind: Kind, parts: UrlParts) -> tuple[str, int]:
    """Return the service and the database that a path names."""
    names = [name for name in parts.path if name]
    service = names.pop(0) if kind is Kind.SENTINEL and names else ""
    if kind is Kind.SENTINEL and not service:
        raise _FORM.malformed("does not name the service of the sentinels")
    if kind is Kind.CLUSTER and names:
        raise _FORM.malformed("has a database, and a cluster has only one")
    database = names.pop() if names else "0"
    if names or not re.fullmatch("[0-9]{1,5}", database):
        raise _FORM.malformed("has a database that is not a number, such as 0")
    return service, int(database)


def _check_combinations(found: Settings) -> None:
    """Refuse parameters that have no effect without others."""
    parameters = found.parameters
    if parameters.ssl_ca_certs and not found.tls:
        raise OptionsError("ssl_ca_certs needs TLS; expected rediss:// instead of redis://")
    by_sentinels = parameters.sentinel_username or parameters.sentinel_password
    if by_sentinels and found.kind is not Kind.SENTINEL:
        raise OptionsError(
            "sentinel_username and sentinel_password are for sentinels; expected them in a URL "
            "that begins with redis+sentinel://"
        )
    if parameters.sentinel_username and not parameters.sentinel_password:
        raise OptionsError("sentinel_username needs a password; expected sentinel_password too")
