"""Read listings page by page, so that a listing of any length needs little memory."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from ...operations import List, Page
from ..store import OpenStore

PAGE_KEYS: Final = 1000


async def pages(found: OpenStore, listing: List, *, values: bool = False) -> AsyncIterator[Page]:
    """Read the pages of a listing; with `values`, their keys are whole entries."""
    while True:
        if values:
            page = await found.storage.list_entries(listing, found.limits.batch_bytes)
        else:
            page = await found.storage.list(listing)
        yield page
        if page.cursor is None:
            return
        listing = msgspec.structs.replace(listing, cursor=page.cursor)
