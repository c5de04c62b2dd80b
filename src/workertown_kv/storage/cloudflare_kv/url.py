"""Parse the URL of a namespace of Workers KV."""

import re
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ...errors import OptionsError
from ..url_parts import UrlForm

TOKEN_VARIABLE: Final = "CLOUDFLARE_API_TOKEN"  # noqa: S105  (the name of a variable)
"""The variable that Cloudflare's own clients read the token from, too."""

FORM: Final = UrlForm(
    name="URL of a namespace of Workers KV",
    expected="cloudflare-kv://ACCOUNT/NAMESPACE, with the ids that `npx wrangler whoami` and "
    "`npx wrangler kv namespace list` print; "
    "?timeout=SECONDS&wait=SECONDS&endpoint=URL may follow. The token is not part of the URL: "
    f"{TOKEN_VARIABLE} holds it",
    ports={"cloudflare-kv": 443},
)

_API: Final = "/client/v4"
_IDS: Final = re.compile("cloudflare-kv://([A-Za-z0-9_-]{1,64})/([0-9a-f]{32})/?", re.IGNORECASE)
_Seconds = Annotated[float, Meta(ge=0.01, le=3600, description="seconds from 0.01 to 3600")]


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters after the `?`, and their defaults."""

    timeout: _Seconds = 10.0
    """Seconds for which Cloudflare may neither take nor send anything of a request."""
    wait: Annotated[float, Meta(ge=0, le=3600, description="seconds from 0 to 3600")] = 5.0
    """Seconds that a request waits in total while Cloudflare takes no more requests."""
    endpoint: Annotated[str, Meta(description="a URL such as https://HOST")] = (
        f"https://api.cloudflare.com{_API}"
    )
    """The URL of the API; without a path, `/client/v4` is added."""


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
        endpoint=_endpoint(parameters.endpoint),
        account=ids[1],
        namespace=ids[2].lower(),
        timeout=parameters.timeout,
        wait=parameters.wait,
    )


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise FORM.malformed("has an endpoint that is no URL of an API") from None
    if parts.scheme not in ("https", "http") or not host or parts.query or parts.fragment:
        raise FORM.malformed("has an endpoint that is no URL of an API")
    if "@" in parts.netloc:
        raise FORM.malformed("has an endpoint with a user name or a password")
    if parts.scheme == "http" and not _is_loopback(host):
        raise OptionsError(
            f"endpoint in the {FORM.name} is http://{host}; expected https://, since http:// would "
            "show the token to the network. http:// is only for servers of this machine"
        )
    path = parts.path.rstrip("/") or _API
    return f"{parts.scheme}://{parts.netloc}{path}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
