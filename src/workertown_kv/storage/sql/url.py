"""Parse the URL of a database server: its hosts, the user and the parameters."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from ...errors import OptionsError
from ...options import Secret
from ..url_parts import Address, UrlForm

TlsMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

_MODES: Final[Mapping[str, TlsMode]] = {
    "true": "verify-full",
    "skip-verify": "require",
    "false": "disable",
}
"""The mode for each value of `tls`."""

_OTHER_NAMES: Final = (
    "ssl",
    "ssl-mode",
    "ssl_mode",
    "sslaccept",
    "ssl_ca",
    "ssl_verify_cert",
    "useSSL",
)
"""The parameters by which other programs are told how to encrypt."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters after the `?`, and their defaults."""

    connections: Annotated[
        int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")
    ] = 10
    """The most connections that a process has at once."""
    timeout: Annotated[
        float, Meta(gt=0, le=3600, description="seconds, more than 0 and at most 3600")
    ] = 5.0
    """Seconds that an operation may take, including the wait for a connection."""
    table: Annotated[
        str,
        Meta(
            pattern=r"^[a-z_0-9]{1,40}\Z",
            description="at most 40 of the characters a-z, 0-9 and _",
        ),
    ] = "kv_entry"
    """The table. Stores with different tables can share a database."""
    migrate: Annotated[Literal["auto", "manual"], Meta(description="auto or manual")] = "auto"
    """Whether opening brings the schema up to date, or only `workertown-kv migrate` does."""
    socket: str | None = None
    """A Unix socket to connect to instead of a host."""
    sslmode: Annotated[
        TlsMode | None,
        Meta(description="disable, allow, prefer, require, verify-ca or verify-full"),
    ] = None
    """Whether the connection is encrypted, and how the server is verified."""
    tls: Annotated[
        Literal["true", "skip-verify", "false"] | None,
        Meta(description="true, skip-verify or false"),
    ] = None
    """The same, as PlanetScale and TiDB write it for Go: `true` verifies the server."""
    sslrootcert: str | None = None
    """A file with the trusted certificates, instead of those that this machine trusts."""
    sslcert: str | None = None
    """A file with the client's certificate."""
    sslkey: str | None = None
    """A file with the key of that certificate, if it is not in the same file."""


class ServerUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A database on one of the hosts. Its `repr` shows no password."""

    hosts: tuple[Address, ...]
    """The hosts that may have the database, or the path of its socket and a port."""
    user: str | None
    password: Secret | None
    database: str
    parameters: Parameters

    @property
    def address(self) -> str:
        """The hosts or the socket, as messages may show them."""
        if self.parameters.socket is not None:
            return self.parameters.socket
        return ",".join(f"{host}:{port}" for host, port in self.hosts)


def parse_url(url: str, schemes: str, port: int) -> ServerUrl:
    """Take a URL apart. `schemes` are the accepted schemes, separated by `|`.

    Raises `OptionsError`, whose message shows no part of a malformed URL.
    """
    form = UrlForm(
        name="URL of the database",
        expected=f"{schemes}://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]…]/DATABASE, with special "
        "characters in its parts percent-encoded",
        ports=dict.fromkeys(schemes.split("|"), port),
        also_called=dict.fromkeys(_OTHER_NAMES, "sslmode"),
    )
    parts = form.split(url)
    if parts.may_be_secret:
        raise form.malformed()
    if len(parts.path) > 1:
        raise form.malformed("has several parts in its path")
    if not any(parts.path):
        raise form.malformed("names no database")
    parameters = _with_mode(form.parameters(parts, Parameters))
    _check_tls(parameters)
    hosts = parts.hosts
    names = [name for name, _ in hosts if name]
    if parameters.socket is not None and len(hosts) == 1 and not names:
        hosts = ((parameters.socket, hosts[0][1]),)
    elif parameters.socket is not None or len(names) < len(hosts):
        raise form.malformed("has to name hosts, or no host and a socket by ?socket=PATH")
    return ServerUrl(
        hosts=hosts,
        user=parts.user or None,
        password=parts.password,
        database=parts.path[0],
        parameters=parameters,
    )


def _with_mode(parameters: Parameters) -> Parameters:
    """Return the parameters with the mode that `tls` stands for."""
    if parameters.tls is None:
        return parameters
    if parameters.sslmode is not None:
        raise OptionsError(
            "The URL of the database has tls and sslmode; expected only one of the two"
        )
    return msgspec.structs.replace(parameters, sslmode=_MODES[parameters.tls])


def _check_tls(parameters: Parameters) -> None:
    """Refuse files that would not be used."""
    files = [name for name in ("sslcert", "sslkey", "sslrootcert") if getattr(parameters, name)]
    if files and parameters.sslmode not in ("require", "verify-ca", "verify-full"):
        raise OptionsError(
            f"{files[0]} in the URL of the database is of no use there; "
            "expected it together with sslmode=require, verify-ca or verify-full"
        )
    if parameters.sslkey and not parameters.sslcert:
        raise OptionsError(
            "sslkey in the URL of the database is the key of no certificate; expected sslcert too"
        )
