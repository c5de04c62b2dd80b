"""Encode and decode the cursors of listings and deletions."""

import base64
import binascii

# A cursor of the storage may be any text; base64 makes it safe in every URL. A cursor of another
# kind than a plain listing begins with its kind and a dot, so that no cursor is taken for another.


def encode_cursor(kind: str, cursor: str | None) -> str | None:
    """Return a cursor of a storage as clients get it."""
    if cursor is None:
        return None
    return f"{_encoded(kind)}.{_encoded(cursor)}" if kind else _encoded(cursor)


def decode_cursor(kind: str, text: str) -> str:
    """Return the cursor of the storage in a cursor of this kind. Raises `ValueError`."""
    made_for, dot, rest = text.rpartition(".")
    if made_for != _encoded(kind) or (dot and not kind):
        raise ValueError("Expected the cursor of a page with the same other parameters")
    try:
        padded = rest.encode("ascii") + b"=" * (-len(rest) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error):
        raise ValueError("Expected the cursor of the page before") from None


def kind_of_listing(is_reverse: bool, delimiter: str | None) -> str:
    """Return the kind of the cursors of a listing."""
    if is_reverse:
        return f"reverse{delimiter or ''}"
    return "" if delimiter is None else f"forward{delimiter}"


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
