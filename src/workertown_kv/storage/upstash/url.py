"""Parse the URL of a database at Upstash."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ...options import Secret
from ..keyspace import KeyspaceParameters
from ..tokens import can_be_token
from ..url_parts import UrlForm, UrlParts, shown_host

FORM: Final = UrlForm(
    name="URL of a database at Upstash",
    expected="upstash://TOKEN@HOST[:PORT], with "
    "?timeout=SECONDS&sweep=SECONDS&poll=SECONDS&prefix=TEXT if you like; upstash+http is for an "
    "emulator without TLS. Special characters in a token are percent-encoded",
    ports={"upstash": 443, "upstash+http": 80},
)


class Parameters(KeyspaceParameters, frozen=True, kw_only=True):
    """The parameters after the `?`, and their defaults."""

    sweep: Annotated[float, Meta(ge=0, le=1_000_000, description="seconds from 0 to 1,000,000")] = (
        60.0
    )
    """Seconds until the next sweep, if the last sweep found no expired entry."""
    poll: Annotated[float, Meta(ge=0.05, le=3600, description="seconds from 0.05 to 3600")] = 1.0
    """Seconds between two reads of the changes, while there is a reader that waits for them."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says about a database."""

    endpoint: str
    """The URL for requests, without a slash at the end."""
    token: Secret
    parameters: Parameters


def parse_url(url: str) -> Settings:
    """Read a URL. Raises `OptionsError` if it is malformed, or a parameter is wrong."""
    parts = FORM.split(url)
    endpoint, token = endpoint_of(parts)
    parameters = FORM.parameters(parts, Parameters)
    return Settings(endpoint=endpoint, token=token, parameters=parameters)


def endpoint_of(parts: UrlParts) -> tuple[str, Secret]:
    """Return the URL for requests, and the token. Raises `OptionsError`."""
    token = parts.user
    ((host, port), *others) = parts.hosts
    if (
        not can_be_token(token)
        or parts.password is not None
        or not host
        or others
        or any(parts.path)
    ):
        raise FORM.malformed()
    protocol = "https" if parts.scheme == "upstash" else "http"
    return f"{protocol}://{shown_host(host)}:{port}", Secret(token)
