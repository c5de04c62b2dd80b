"""Parse the URL of a namespace of Workers KV."""

import re
from typing import Final

import msgspec

from ..cloudflare_api.url import TOKEN_VARIABLE, Parameters, checked_endpoint
from ..url_parts import UrlForm

PERMISSION: Final = "Workers KV Storage"
"""The permission that the token needs, without `Read` or `Write`."""

FORM: Final = UrlForm(
    name="URL of a namespace of Workers KV",
    expected="cloudflare-kv://ACCOUNT/NAMESPACE, with the ids that `npx wrangler whoami` and "
    "`npx wrangler kv namespace list` print; "
    "?timeout=SECONDS&wait=SECONDS&endpoint=URL may follow. The token is not part of the URL: "
    f"{TOKEN_VARIABLE} holds it",
    ports={"cloudflare-kv": 443},
)

_IDS: Final = re.compile("cloudflare-kv://([A-Za-z0-9_-]{1,64})/([0-9a-f]{32})/?", re.IGNORECASE)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says about a namespace."""

    endpoint: str
    account: str
    namespace: str
    timeout: float
    wait: float

    @property
    def namespace_url(self) -> str:
        """The URL under which the API has the namespace."""
        path = f"/accounts/{self.account}/storage/kv/namespaces/{self.namespace}"
        return self.endpoint + path


def parse_url(url: str) -> Settings:
    """Read a URL. Raises `OptionsError` if it is malformed, or a parameter is wrong."""
    parts = FORM.split(url)
    # The host of a URL is in lower case, but an account need not be.
    ids = _IDS.fullmatch(url.strip().partition("?")[0])
    if ids is None:
        raise FORM.malformed()
    parameters = FORM.parameters(parts, Parameters)
    return Settings(
        endpoint=checked_endpoint(FORM, parameters.endpoint),
        account=ids[1],
        namespace=ids[2].lower(),
        timeout=parameters.timeout,
        wait=parameters.wait,
    )
