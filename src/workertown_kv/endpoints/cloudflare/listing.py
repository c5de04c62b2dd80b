"""Pages of keys, and their cursors as Cloudflare's clients send them back."""

import base64
import binascii

from ...errors import InputError
from ...operations import List, Page
from ...storage import Storage
from .errors import invalid


async def listed(
    storage: Storage, namespace: str, prefix: str, limit: int, cursor: str | None
) -> Page:
    """A page of keys; an empty cursor is none. Raises an error of its own for a wrong one."""
    try:
        place = base64.b64decode(cursor, b"-_", validate=True).decode() if cursor else None
        return await storage.list(List(namespace, prefix, limit, place))
    except (ValueError, binascii.Error, InputError) as error:
        raise invalid(10041, "Invalid cursor. Expected the cursor of the page before.") from error


def encoded_cursor(cursor: str | None) -> str:
    """The cursor as clients send it back; empty after the last page."""
    return "" if cursor is None else base64.urlsafe_b64encode(cursor.encode()).decode()
