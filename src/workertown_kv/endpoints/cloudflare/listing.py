"""Read queries for pages of keys, with the cursors that Cloudflare's clients send back."""

import base64
from collections.abc import Mapping

from ...errors import InputError
from ...operations import List, Page
from ...storage import Storage
from .errors import CloudflareError, invalid


def decode_list(namespace: str, asked: Mapping[str, str], limit: int) -> List:
    """Return which keys a query lists; an empty cursor is none."""
    return List(namespace, asked.get("prefix", ""), limit, _decode_cursor(asked.get("cursor")))


async def list_page(storage: Storage, operation: List) -> Page:
    """Return a page of keys. Raises the error of Cloudflare for a cursor of another listing."""
    try:
        return await storage.list(operation)
    except InputError as error:
        raise _wrong_cursor() from error


def encode_cursor(cursor: str | None) -> str:
    """Return the cursor as clients send it back; empty after the last page."""
    return "" if cursor is None else base64.urlsafe_b64encode(cursor.encode()).decode()


def _decode_cursor(text: str | None) -> str | None:
    try:
        return base64.b64decode(text, b"-_", validate=True).decode() if text else None
    except ValueError as error:
        raise _wrong_cursor() from error


def _wrong_cursor() -> CloudflareError:
    return invalid(10041, "Invalid cursor. Expected the cursor of the page before.")
