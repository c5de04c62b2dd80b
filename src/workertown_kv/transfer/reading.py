"""Read all entries of a namespace, page after page."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final, cast

from ..entry import Entry
from ..errors import KvError, StorageUnsupported, ValueTooLarge
from ..operations import Batch, Get, List, Page
from ..storage import Capability, Storage

PAGE_ENTRIES: Final = 1000
PAGE_BYTES: Final = 4 * 1024 * 1024
"""About how many bytes of values a page has; a single value may have more."""

_GETS_TOGETHER: Final = 100


async def pages_of(
    storage: Storage, namespace: str, prefix: str = ""
) -> AsyncGenerator[Sequence[Entry], None]:
    """Yield all entries in the order of their keys.

    Entries that others write or delete meanwhile may or may not be among them. While the caller
    works on a page, the next page is read.
    """
    if Capability.LISTING in storage.lacks:
        raise storage.unsupported(Capability.LISTING)
    next_page = asyncio.ensure_future(_page(storage, namespace, prefix, None))
    try:
        while True:
            entries, cursor = await next_page
            if cursor is not None:
                next_page = asyncio.ensure_future(_page(storage, namespace, prefix, cursor))
            yield entries
            if cursor is None:
                return
    finally:
        next_page.cancel()


async def _page(
    storage: Storage, namespace: str, prefix: str, cursor: str | None
) -> tuple[Sequence[Entry], str | None]:
    operation = List(namespace, prefix, PAGE_ENTRIES, cursor)
    try:
        page = await storage.list_entries(operation, PAGE_BYTES)
    except StorageUnsupported:
        page = await storage.list(operation)
        return await _values(storage, namespace, page), page.cursor
    return cast("Sequence[Entry]", page.keys), page.cursor


async def _values(storage: Storage, namespace: str, page: Page) -> Sequence[Entry]:
    """Read the values of a page that a storage cannot end early."""
    entries: list[Entry] = []
    gets = [Get(namespace, info.key) for info in page.keys]
    for start in range(0, len(gets), _GETS_TOGETHER):
        some = gets[start : start + _GETS_TOGETHER]
        results = await storage.batch(Batch(some, read_bytes=PAGE_BYTES))
        for get, result in zip(some, results, strict=True):
            found = await storage.get(get) if isinstance(result, ValueTooLarge) else result
            if isinstance(found, KvError):
                raise found
            if isinstance(found, Entry):
                entries.append(found)
    return entries
