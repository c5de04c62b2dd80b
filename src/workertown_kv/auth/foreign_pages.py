"""Requests that a page of another site makes a browser send, with the login that it keeps."""

from collections.abc import Callable, Mapping
from typing import Final

from ..errors import Forbidden, UnsupportedMediaType

FORM_TYPES: Final = frozenset(
    {b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"}
)
"""The media types that a form can send, and that a script may send without asking first."""

_ELSEWHERE: Final = (b"cross-site", b"same-site")
"""What `Sec-Fetch-Site` says of a page of another origin. Two hosts of one site need not trust each
other, so CORS makes no difference between the two either."""


def check_no_foreign_page(
    method: str, fields: Mapping[bytes, bytes], is_allowed_origin: Callable[[str], bool]
) -> None:
    """Refuse what only a page that has not been permitted by CORS would send.

    A browser asks before it sends a `PUT`, a `DELETE` or a media type that no form has. It does not
    ask before a `POST` with one that a form has, or with none, and not every browser says where a
    request comes from.
    """
    if fields.get(b"sec-fetch-site") in _ELSEWHERE and not is_allowed_origin(
        fields.get(b"origin", b"").decode("latin-1")
    ):
        raise Forbidden("Pages of this origin may not use the server; cors.origin permits origins")
    if method == "POST":
        sent = fields.get(b"content-type", b"")
        media_type = sent.partition(b";")[0].strip().lower()
        if not media_type or media_type in FORM_TYPES:
            got = f"got {sent[:100].decode('latin-1')}" if media_type else "there is none"
            raise UnsupportedMediaType(
                "Expected Content-Type: application/json, even without a body, since a form of any "
                f"page can send a POST without it; {got}"
            )
