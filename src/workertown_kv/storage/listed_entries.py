"""List entries with their values: list a page of keys, then read their values in batches."""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from ..entry import Entry
from ..errors import KvError, ValueTooLarge
from ..operations import Batch, Get, List, Page, Result

GETS_TOGETHER: Final = 100
"""How many values are read in a batch. A page that ends early has read few values in vain."""


class Reads(Protocol):
    """The operations of a storage that are needed here."""

    async def list(self, operation: List) -> Page:
        """See `Storage`."""

    async def batch(self, operation: Batch) -> Sequence[Result]:
        """See `Storage`."""

    async def get(self, operation: Get) -> Entry | None:
        """See `Storage`."""


async def list_entries(storage: Reads, operation: List, read_bytes: int) -> Page:
    """Return a page as `Storage.list_entries` does."""
    while True:
        page = await storage.list(operation)
        entries, excluded = await _read(storage, operation, page, read_bytes)
        found = _until(operation, page, entries, excluded)
        if found.keys or found.folders or found.cursor is None:
            return found
        # Others have deleted all keys of the page since it was listed.
        operation = msgspec.structs.replace(operation, cursor=found.cursor)


async def _read(
    storage: Reads, operation: List, page: Page, read_bytes: int
) -> tuple[list[Entry], str | None]:
    """Return the entries of a page, and the first key that does not fit any more."""
    entries: list[Entry] = []
    left = read_bytes
    for start in range(0, len(page.keys), GETS_TOGETHER):
        gets = [
            Get(operation.namespace, info.key) for info in page.keys[start : start + GETS_TOGETHER]
        ]
        results = await storage.batch(Batch(gets, read_bytes=max(left, 0)))
        for get, result in zip(gets, results, strict=True):
            found = result
            if isinstance(found, ValueTooLarge):
                if entries or _come_before(page.folders, get.key, operation):
                    return entries, get.key
                found = await storage.get(get)
            if isinstance(found, KvError):
                raise found
            if isinstance(found, Entry):
                if entries and len(found.value) > left:
                    return entries, get.key
                entries.append(found)
                left -= len(found.value)
    return entries, None


def _until(operation: List, page: Page, entries: Sequence[Entry], excluded: str | None) -> Page:
    """Return the page, which ends before the excluded key."""
    if excluded is None:
        return Page(entries, page.cursor, page.folders)
    folders = _come_before(page.folders, excluded, operation)
    names = [*(entry.key for entry in entries[-1:]), *folders[-1:]]
    return Page(entries, min(names) if operation.is_reverse else max(names), folders)


def _come_before(folders: Sequence[str], key: str, operation: List) -> Sequence[str]:
    """Return the folders that come before a key in the listing."""
    return [folder for folder in folders if (folder > key) is operation.is_reverse]
