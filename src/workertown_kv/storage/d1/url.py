"""Parse the URL of a D1 database."""

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ..cloudflare_api.url import TOKEN_VARIABLE, Parameters, checked_endpoint
from ..url_parts import UrlForm

PERMISSION: Final = "D1"
"""The permission that the token needs, without `Read` or `Write`."""

FORM: Final = UrlForm(
    name="URL of a D1 database",
    expected="d1://ACCOUNT/DATABASE, with the ids that `npx wrangler whoami` and "
    "`npx wrangler d1 list` print; ?timeout=SECONDS&wait=SECONDS&sweep=SECONDS&endpoint=URL may "
    f"follow. The token is not part of the URL: {TOKEN_VARIABLE} holds it",
    ports={"d1": 443},
)

_IDS: Final = re.compile(
    "d1://([A-Za-z0-9_-]{1,64})/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/?", re.IGNORECASE
)


class _Parameters(Parameters, frozen=True, kw_only=True):
    sweep: Annotated[float, Meta(ge=0, le=1_000_000, description="seconds from 0 to 1,000,000")] = (
        60.0
    )
    """Seconds until the next sweep, if the last sweep found no expired entry."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says about a database."""

    endpoint: str
    account: str
    database: str
    timeout: float
    wait: float
    sweep: float

    @property
    def database_url(self) -> str:
        """The URL under which the API has the database."""
        return f"{self.endpoint}/accounts/{self.account}/d1/database/{self.database}"


def parse_url(url: str) -> Settings:
    """Read a URL. Raises `OptionsError` if it is malformed, or a parameter is wrong."""
    parts = FORM.split(url)
    # The host of a URL is in lower case, but an account need not be.
    ids = _IDS.fullmatch(url.strip().partition("?")[0])
    if ids is None:
        raise FORM.malformed()
    parameters = FORM.parameters(parts, _Parameters)
    return Settings(
        endpoint=checked_endpoint(FORM, parameters.endpoint),
        account=ids[1],
        database=ids[2].lower(),
        timeout=parameters.timeout,
        wait=parameters.wait,
        sweep=parameters.sweep,
    )
