"""Check the endpoint of the API and the token for it, which no URL of a storage has."""

from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ...errors import OptionsError
from ...options import Secret
from ..tokens import can_be_token
from ..url_parts import UrlForm

TOKEN_VARIABLE: Final = "CLOUDFLARE_API_TOKEN"  # noqa: S105  (the name of a variable)
"""The variable that Cloudflare's own clients read the token from, too."""

_API: Final = "/client/v4"
Seconds = Annotated[float, Meta(ge=0.01, le=3600, description="seconds from 0.01 to 3600")]


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters after the `?`, and their defaults."""

    timeout: Seconds = 10.0
    """Seconds for which Cloudflare may neither take nor send anything of a request."""
    wait: Annotated[float, Meta(ge=0, le=3600, description="seconds from 0 to 3600")] = 5.0
    """Seconds that a request waits in total while Cloudflare takes no more requests."""
    endpoint: Annotated[str, Meta(description="a URL such as https://HOST")] = (
        f"https://api.cloudflare.com{_API}"
    )
    """The URL of the API; without a path, `/client/v4` is added."""


def checked_token(token: Secret | None, permission: str) -> Secret:
    """Return the token, if it can be one. Raises `OptionsError`."""
    if not token:
        raise OptionsError(
            f"There is no token for Cloudflare; expected one in {TOKEN_VARIABLE}, with the "
            f"permission {permission} Write"
        )
    if not can_be_token(token.reveal()):
        raise OptionsError(
            f"The token for Cloudflare, in {TOKEN_VARIABLE}, has a character that no token has; "
            "expected only letters, digits and punctuation, without white space"
        )
    return token


def checked_endpoint(form: UrlForm, url: str) -> str:
    """Return the URL of the API, with its path. Raises `OptionsError`."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise form.malformed("has an endpoint that is no URL of an API") from None
    if parts.scheme not in ("https", "http") or not host or parts.query or parts.fragment:
        raise form.malformed("has an endpoint that is no URL of an API")
    if "@" in parts.netloc:
        raise form.malformed("has an endpoint with a user name or a password")
    if parts.scheme == "http" and not _is_loopback(host):
        raise OptionsError(
            f"endpoint in the {form.name} is http://{host}; expected https://, since http:// would "
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
