"""Parse the URL of a table."""

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ..url_parts import UrlForm

FORM: Final = UrlForm(
    name="URL of a table in DynamoDB",
    expected="dynamodb://REGION/TABLE, such as dynamodb://eu-central-1/store; "
    "?profile=NAME&endpoint=URL may follow. Credentials are not part of the URL: AWS's own "
    "variables, files and roles provide them",
    ports={"dynamodb": 443},
)

_REGION: Final = re.compile("[a-z0-9]+(?:-[a-z0-9]+)*")
_TABLE: Final = re.compile("[A-Za-z0-9_.-]{3,255}")


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters after the `?`, and their defaults."""

    endpoint: Annotated[str | None, Meta(description="a URL such as http://127.0.0.1:8000")] = None
    """The URL of another server of the same API, such as DynamoDB Local."""
    profile: Annotated[str | None, Meta(description="a profile in AWS's configuration files")] = (
        None
    )
    """The profile in AWS's configuration files whose credentials are used."""
    timeout: Annotated[float, Meta(ge=0.01, le=3600, description="seconds from 0.01 to 3600")] = 5.0
    """Seconds that the answer to each request may take."""
    wait: Annotated[float, Meta(ge=0, le=3600, description="seconds from 0 to 3600")] = 2.0
    """Seconds during which a request that DynamoDB throttles is repeated."""
    buckets: Annotated[int, Meta(ge=1, le=256, description="a whole number from 1 to 256")] = 0
    """How many partition keys a namespace of a new table has; 0: the default."""
    migrate: Annotated[Literal["auto", "manual"], Meta(description="auto or manual")] = "auto"
    """Whether opening creates the table, or only `workertown-kv migrate` does."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says about a table."""

    region: str
    table: str
    parameters: Parameters


def parse_url(url: str) -> Settings:
    """Read a URL. Raises `OptionsError` if it is malformed, or a parameter is wrong."""
    parts = FORM.split(url)
    if parts.user or parts.password is not None:
        raise FORM.malformed("has credentials in it")
    (region, port), *others = parts.hosts
    if others or port != FORM.ports["dynamodb"] or not _REGION.fullmatch(region):
        raise FORM.malformed("names no region")
    names = [part for part in parts.path if part]
    if len(names) != 1 or not _TABLE.fullmatch(names[0]):
        raise FORM.malformed("names no table of 3 to 255 letters, digits, _, - and .")
    parameters = FORM.parameters(parts, Parameters)
    if parameters.endpoint is not None:
        _check_endpoint(parameters.endpoint)
    return Settings(region=region, table=names[0], parameters=parameters)


def _check_endpoint(url: str) -> None:
    malformed = FORM.malformed("has an endpoint that is no URL such as http://127.0.0.1:8000")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise malformed from None
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise malformed
