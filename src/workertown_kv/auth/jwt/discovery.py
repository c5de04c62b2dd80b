"""Look up the key set of an issuer (OpenID Connect Discovery 1.0, 4)."""

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from .fetch import Document
from .keys import UNREADABLE
from .refusal import shown

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_DOCUMENT: Final = "/.well-known/openid-configuration"


def is_protected(url: str) -> bool:
    """Return whether nobody on the network path can change what a URL gives.

    Raises `ValueError` for text that is not a URL.
    """
    parts = _parts(url)
    return parts.scheme == "https" or parts.hostname in _LOCAL


def check_issuer(issuer: str) -> None:
    """Raise `ValueError`, which says why, if the keys of an issuer cannot be looked up."""
    if "{" in issuer:
        # Entra ID's documents for all tenants have {tenantid}.
        raise ValueError("is a template; expected the issuer of one tenant, or several of them")
    try:
        parts = _parts(issuer)
        can_be_fetched = is_protected(issuer) and not parts.query and not parts.fragment
    except ValueError:
        can_be_fetched = False
    if not can_be_fetched:
        raise ValueError(
            "is not a URL at which its keys can be looked up; expected one that starts with "
            "https:// (http:// only at localhost), or the URL of its key set too"
        )


async def discover_key_set(issuer: str, fetch: Callable[[str], Awaitable[Document]]) -> str:
    """Return the URL of an issuer's key set. Raises `ValueError` if its document names none."""
    text = (await fetch(issuer.rstrip("/") + _DOCUMENT)).text
    try:
        document: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except UNREADABLE as error:
        raise ValueError(f"its discovery document is not an object in JSON: {error}") from error
    found = document.get("issuer")
    if found != issuer:
        # Section 4.3: the document of one issuer might name the keys of another.
        raise ValueError(f"its discovery document is of the issuer {shown(found)}")
    url = document.get("jwks_uri")
    # An issuer on the network must not name the key set of a program on this machine.
    if not isinstance(url, str) or urlsplit(url).scheme not in ("https", urlsplit(issuer).scheme):
        raise ValueError("its discovery document has no `jwks_uri` that starts with https://")
    if not is_protected(url):
        raise ValueError("its discovery document has a `jwks_uri` that is not protected by https")
    return url


def _parts(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("is not a URL that starts with https://")
    return parts
