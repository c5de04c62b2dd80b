"""The URL of a database server: where it is, who connects, and the parameters that we take."""

import difflib
import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from ...errors import OptionsError
from ...options.group import Secret
from ..url_parts import url_parts

TlsMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may stand after the `?`, and what holds without it."""

    connections: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    """The most connections that a process has at once."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 5.0
    """Seconds that every operation has, waiting for a connection included."""
    table: Annotated[str, msgspec.Meta(pattern=r"^[a-z_0-9]{1,40}\Z")] = "kv_entry"
    """The table; with another name, another store may live in the same database."""
    migrate: Literal["auto", "manual"] = "auto"
    """Whether the schema is brought up to date by the way, or by `workertown-kv migrate` alone."""
    socket: str | None = None
    """A Unix socket to connect to, in the place of a host."""
    sslmode: TlsMode | None = None
    """Whether the connection is encrypted, and what of the server is verified."""
    sslrootcert: str | None = None
    """A file with the certificates to trust, in the place of those that this machine trusts."""
    sslcert: str | None = None
    """A file with a certificate to show to the server."""
    sslkey: str | None = None
    """A file with the key of that certificate, where it is not in the same file."""


_PATH: Final = re.compile("/[^/]+")
_EXPECTED: Final = {
    "connections": "a whole number from 1 to 1000",
    "timeout": "seconds, more than 0 and at most 3600",
    "table": "at most 40 of the characters a-z, 0-9 and _",
    "migrate": "auto or manual",
    "socket": "the path of a Unix socket",
    "sslmode": "disable, allow, prefer, require, verify-ca or verify-full",
    "sslrootcert": "the path of a file",
    "sslcert": "the path of a file",
    "sslkey": "the path of a file",
}


class ServerUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A database on a server, or on one of several. Its `repr` shows no password."""

    hosts: Sequence[tuple[str, int]]
    """Where it may be, each with its port; the path and port of a socket, where it has one."""
    user: str | None
    password: Secret | None
    database: str
    parameters: Parameters

    @property
    def address(self) -> str:
        """Where it is, as messages may show it."""
        if self.parameters.socket is not None:
            return self.parameters.socket
        return ",".join(f"{host}:{port}" for host, port in self.hosts)


def parse_url(url: str, schemes: str, port: int) -> ServerUrl:
    """Take the URL apart. `schemes` are those that are accepted, separated by `|`.

    Raises `OptionsError`. What is wrong may stand beside a password or be a part of it, so the
    message never shows the URL itself, and the error has no cause.
    """
    form = f"{schemes}://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]…]/DATABASE"
    try:
        parts = url_parts(url)
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        who, _, where = parts.netloc.rpartition("@")
        hosts = [_host(one, port) for one in where.split(",")]
    except _WrongPort:
        raise _malformed(form, "has a port that is not a whole number from 1 to 65535") from None
    except ValueError:
        raise _malformed(form) from None
    # There, an @ or # is of a password that was not encoded, and the rest of it stands around.
    misplaced = "@" in parts.path + parts.query or parts.fragment
    if parts.scheme not in schemes.split("|") or misplaced:
        raise _malformed(form)
    if not _PATH.fullmatch(parts.path):
        wrong = "has several parts in its path" if parts.path.strip("/") else "names no database"
        raise _malformed(form, wrong)
    parameters = _parameters(given)
    named = [(host, given_port) for host, given_port in hosts if host is not None]
    if parameters.socket is not None and len(hosts) == 1 and not named:
        named = [(parameters.socket, hosts[0][1])]
    elif parameters.socket is not None or len(named) < len(hosts):
        raise OptionsError(
            f"The URL of the database has to name hosts, or a socket; expected {form}, or the "
            "same without a host and with socket=PATH"
        )
    user, colon, password = who.partition(":")
    return ServerUrl(
        hosts=named,
        user=unquote(user) or None,
        password=Secret(unquote(password)) if colon else None,
        database=unquote(parts.path[1:]),
        parameters=parameters,
    )


def _host(text: str, port: int) -> tuple[str | None, int]:
    """One host and its port; `None` where it has no name. Raises `ValueError`."""
    parts = urlsplit(f"//{text}")
    try:
        given = parts.port
    except ValueError as error:
        raise _WrongPort from error
    if given == 0:
        raise _WrongPort
    return parts.hostname and unquote(parts.hostname), given or port


class _WrongPort(ValueError):
    pass


def _malformed(form: str, wrong: str = "is malformed") -> OptionsError:
    return OptionsError(
        f"The URL of the database {wrong}; expected {form}, with special characters in its "
        "parts percent-encoded"
    )


def _parameters(given: list[tuple[str, str]]) -> Parameters:
    values = dict(given)
    for name, text in values.items():
        if name not in _EXPECTED:
            near = difflib.get_close_matches(name, _EXPECTED, n=1)
            hint = f"did you mean {near[0]}? Expected" if near else "expected"
            raise OptionsError(
                f"The URL of the database has a parameter {name!r}; {hint} {', '.join(_EXPECTED)}"
            )
        try:
            msgspec.convert({name: text}, Parameters, strict=False)
        except msgspec.ValidationError:
            raise OptionsError(
                f"{name} in the URL of the database is {text!r}; expected {_EXPECTED[name]}"
            ) from None
    parameters = msgspec.convert(values, Parameters, strict=False)
    files = {"sslrootcert", "sslcert", "sslkey"} & values.keys()
    if files and parameters.sslmode not in ("require", "verify-ca", "verify-full"):
        raise OptionsError(
            f"{min(files)} in the URL of the database is of no use there; "
            "expected it together with sslmode=require, verify-ca or verify-full"
        )
    if parameters.sslkey and not parameters.sslcert:
        raise OptionsError(
            "sslkey in the URL of the database is the key of no certificate; expected sslcert too"
        )
    return parameters
