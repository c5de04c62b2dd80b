"""Parse the URL of a libSQL database, and decide whether a token may be sent to it."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ...errors import OptionsError
from ...options import Secret
from ..tokens import check_token, is_loopback
from ..url_parts import UrlForm, shown_host

FORM: Final = UrlForm(
    name="URL of a libSQL database",
    expected="libsql://HOST[:PORT], with ?tls=0&insecure=true&timeout=SECONDS&sweep=SECONDS if you "
    "like. The token is not part of the URL: KV_DB_TOKEN holds it",
    ports={"libsql": 443},
)
_HTTP_PORT: Final = 80


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters after the `?`, and their defaults."""

    tls: Annotated[bool, Meta(description="0 or 1")] = True
    """Whether to connect with TLS. A server on this machine often has none."""
    insecure: Annotated[bool, Meta(description="true or false")] = False
    """Whether the token may be sent without TLS to another machine."""
    timeout: Annotated[float, Meta(ge=0.01, le=3600, description="seconds from 0.01 to 3600")] = (
        10.0
    )
    """How many seconds an operation may take."""
    sweep: Annotated[float, Meta(ge=0, le=1_000_000, description="seconds from 0 to 1,000,000")] = (
        60.0
    )
    """Seconds until the next sweep, if the last sweep found no expired entry."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says about a database."""

    base: str
    """The URL of the server, without a slash at the end."""
    host: str
    """The host and the port, for messages."""
    timeout: float
    sweep: float


def parse_url(url: str, token: Secret | None) -> Settings:
    """Read a URL. Raises `OptionsError` if it is malformed, or would send the token unprotected."""
    parts = FORM.split(url)
    ((host, port), *others) = parts.hosts
    if not host or others or any(parts.path) or parts.user or parts.password is not None:
        raise FORM.malformed()
    parameters = FORM.parameters(parts, Parameters)
    if token is not None:
        check_token(token, "database")
        if not (parameters.tls or parameters.insecure or is_loopback(host)):
            raise OptionsError(
                f"With tls=0, {host} would get the token over a network without encryption; "
                "expected TLS, or insecure=true if nobody else can read that network"
            )
    if not parameters.tls and not _names_port(url):
        port = _HTTP_PORT
    shown = shown_host(host)
    default = FORM.ports["libsql"] if parameters.tls else _HTTP_PORT
    if port != default:
        shown = f"{shown}:{port}"
    protocol = "https" if parameters.tls else "http"
    return Settings(
        base=f"{protocol}://{shown}",
        host=shown,
        timeout=parameters.timeout,
        sweep=parameters.sweep,
    )


def _names_port(url: str) -> bool:
    authority = url.partition("://")[2].partition("?")[0].partition("/")[0]
    return authority.rpartition("]")[2].partition(":")[2] != ""
