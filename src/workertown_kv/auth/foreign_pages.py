"""Refuse requests that a page of another site makes a browser send with the user's login."""

from collections.abc import Callable, Mapping
from typing import Final

from ..errors import Forbidden, UnsupportedMediaType

FORM_TYPES: Final = frozenset(
    {b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"}
)
"""The media types that a form, and any script, can send without a preflight request."""

_ELSEWHERE: Final = (b"cross-site", b"same-site")
"""The values of `Sec-Fetch-Site` for a page of another origin. Hosts of the same site need not
trust each other, so CORS treats both values alike."""


def check_no_foreign_page(
    method: str, fields: Mapping[bytes, bytes], is_allowed_origin: Callable[[str], bool]
) -> None:
    """Refuse a request that only a page without CORS permission would send.

    A browser sends a preflight request before a `PUT`, a `DELETE` or a media type that no form has.
    It sends none before a `POST` with a media type of forms, or without a media type, and not every
    browser says from which origin a request comes.
    """
    if fields.get(b"sec-fetch-site") in _ELSEWHERE:
        _check_origin(fields, is_allowed_origin)
    if method == "POST":
        sent = fields.get(b"content-type", b"")
        media_type = sent.partition(b";")[0].strip().lower()
        if not media_type or media_type in FORM_TYPES:
            got = f"got {sent[:100].decode('latin-1')}" if media_type else "there is none"
            raise UnsupportedMediaType(
                "Expected Content-Type: application/json, even without a body, since a form of any "
                f"page can send a POST without it; {got}"
            )


def check_no_foreign_socket(
    fields: Mapping[bytes, bytes], is_allowed_origin: Callable[[str], bool]
) -> None:
    """Refuse a websocket that a page without CORS permission opens.

    Browsers send no preflight request before a websocket, but always its origin (RFC 6455, 10.2).
    """
    origin = fields.get(b"origin")
    if origin is None or fields.get(b"sec-fetch-site") == b"same-origin":
        return
    if fields.get(b"sec-fetch-site") in _ELSEWHERE or (
        origin.partition(b"://")[2] != fields.get(b"host")
    ):
        _check_origin(fields, is_allowed_origin)


def _check_origin(fields: Mapping[bytes, bytes], is_allowed_origin: Callable[[str], bool]) -> None:
    if not is_allowed_origin(fields.get(b"origin", b"").decode("latin-1")):
        raise Forbidden("Pages of this origin may not use the server; cors.origin permits origins")
