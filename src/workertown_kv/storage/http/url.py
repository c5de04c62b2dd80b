"""Parse the URL of a server, and decide whether a token may be sent to it."""

from typing import Annotated, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta

from ...errors import OptionsError
from ...options import Secret
from ..tokens import check_token, is_loopback
from ..url_parts import UrlForm, UrlParts, shown_host

FORM: Final = UrlForm(
    name="URL of the server",
    expected="https://HOST[:PORT][/PATH], with ?timeout=SECONDS if you like, and its token beside "
    "the URL, as in KV_DB_TOKEN",
    ports={"https": 443, "http": 80},
)


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters after the `?`, and their defaults."""

    connections: Annotated[
        int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")
    ] = 10
    """The most connections, besides those on which requests wait for changes."""
    timeout: Annotated[float, Meta(gt=0, le=3600, description="seconds up to 3600")] = 10.0
    """Seconds until the server counts as unreachable: to connect, and between parts of an answer.
    """
    insecure: Annotated[bool, Meta(description="true or false")] = False
    """Whether the token may be sent over http:// to another machine."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says about a server."""

    base: str
    """The URL of the server, without a slash at the end."""
    host: str
    """The host and the port, for messages."""
    is_encrypted: bool
    connections: int
    timeout: float


def parse_url(url: str, token: Secret | None) -> Settings:
    """Read a URL. Raises `OptionsError` if it is malformed, or would send the token unprotected."""
    parts = FORM.split(url)
    if parts.user or parts.password is not None:
        raise FORM.malformed("has credentials, which logs and lists of processes would show")
    ((host, port), *others) = parts.hosts
    if not host or others:
        raise FORM.malformed()
    parameters = FORM.parameters(parts, Parameters)
    is_encrypted = parts.scheme == "https"
    if token is not None:
        check_token(token, "server")
        if not (is_encrypted or parameters.insecure or is_loopback(host)):
            raise OptionsError(
                f"http://{host} would get the token over a network without encryption; expected "
                "https://, or ?insecure=true if nobody else can read that network"
            )
    shown = shown_host(host)
    if port != FORM.ports[parts.scheme]:
        shown = f"{shown}:{port}"
    return Settings(
        base=f"{parts.scheme}://{shown}{_path(parts)}",
        host=shown,
        is_encrypted=is_encrypted,
        connections=parameters.connections,
        timeout=parameters.timeout,
    )


def _path(parts: UrlParts) -> str:
    names = [quote(name, safe="") for name in parts.path]
    return "/".join(["", *names]).rstrip("/")
