"""Keep entries in the memory of this process, for tests and for entries that may be lost."""

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import ClassVar, Final

import msgspec

from ..entry import DEFAULT_NAMESPACE, Entry, KeyInfo
from ..errors import KvError, PreconditionFailed, StorageUnavailable
from ..operations import Batch, Delete, Get, List, Operation, Page, Result, Set
from .batch import run_batch
from .contract import SWEEP_MARGIN_SECONDS, Capability, Clock, Migration, Storage, key_cursor
from .version import new_version

SCANNED_ENTRIES: Final = 10_000
"""The most entries, expired or not, that a listing reads before other requests run."""


class MemoryStorage(Storage):
    """Keeps entries in a dictionary. They end with the process, and no other process sees them.

    `values` are the first entries, in the default namespace. Listing costs O(log n + limit), and
    O(n log n) if keys were added or removed since the last listing.
    """

    lacks: ClassVar[Mapping[Capability, str]] = {
        Capability.CHANGES: "Memory does not record changes yet.",
    }

    shared = False

    needs_task = False

    def __init__(
        self, values: Mapping[str, object] | None = None, *, clock: Clock = time.time
    ) -> None:
        super().__init__(clock=clock)
        self._closed = False
        self._table = _Table(clock)
        for key, value in (values or {}).items():
            text = msgspec.json.encode(value)
            self._table.set(Set(namespace=DEFAULT_NAMESPACE, key=key, value=text))

    async def open(self) -> Sequence[Migration]:
        self._closed = False
        return ()

    async def close(self) -> None:
        self._closed = True

    async def get(self, operation: Get) -> Entry | None:
        return self._opened().get(operation)

    async def set(self, operation: Set) -> str:
        return self._opened().set(operation)

    async def delete(self, operation: Delete) -> None:
        self._opened().delete(operation)

    async def list(self, operation: List) -> Page:
        after = key_cursor(operation)
        keys: list[KeyInfo] = []
        wanted = operation.limit + 1  # one more key says whether the page is the last
        while len(keys) < wanted:
            found, after = self._opened().list_some(operation, after, wanted - len(keys))
            keys += found
            if after is None:
                break
            await asyncio.sleep(0)
        return Page(keys) if len(keys) < wanted else Page(keys[:-1], keys[-2].key)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        table = self._opened()
        before = [(item, table.stored(item)) for item in operation.operations]
        try:
            return run_batch(table, operation)
        except KvError:
            for item, entry in before:
                table.store(item, entry)
            raise

    async def sweep(self, limit: int) -> int:
        return self._opened().sweep(limit)

    def _opened(self) -> "_Table":
        if self._closed:
            raise StorageUnavailable("The storage is closed")
        return self._table


class _Table:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._namespaces: dict[str, dict[str, Entry]] = {}
        self._ordered: dict[str, list[str]] = {}
        self._expiring: list[tuple[float, str, str]] = []
        """A heap of the entries to sweep, each with the time of its expiry."""

    def get(self, operation: Operation) -> Entry | None:
        entry = self.stored(operation)
        return entry if entry is not None and entry.is_alive(self._clock()) else None

    def get_up_to(self, operation: Get, value_bytes: int) -> Entry | bool | None:
        entry = self.get(operation)
        return False if entry is not None and len(entry.value) > value_bytes else entry

    def set(self, operation: Set) -> str:
        self._check_precondition(operation)
        entry = operation.entry(new_version())
        self.store(operation, entry)
        return entry.version

    def delete(self, operation: Delete) -> None:
        self._check_precondition(operation)
        self.store(operation, None)

    def list_some(
        self, operation: List, after: str | None, wanted: int
    ) -> tuple[list[KeyInfo], str | None]:
        """Return up to `wanted` keys after a key, out of the next `SCANNED_ENTRIES` entries.

        Also returns the key after which to continue; `None` if there are enough keys, or no more.
        """
        entries = self._namespaces.get(operation.namespace, {})
        ordered = self._ordered.get(operation.namespace)
        if ordered is None:
            # Code points sort as their UTF-8 bytes do.
            ordered = self._ordered[operation.namespace] = sorted(entries)
        if after is None:
            start = bisect_left(ordered, operation.prefix)
        else:
            start = bisect_right(ordered, after)
        now = self._clock()
        keys: list[KeyInfo] = []
        end = min(start + SCANNED_ENTRIES, len(ordered))
        for position in range(start, end):
            entry = entries[ordered[position]]
            if not entry.key.startswith(operation.prefix) or len(keys) == wanted:
                return keys, None
            if entry.is_alive(now):
                keys.append(
                    KeyInfo(
                        key=entry.key,
                        version=entry.version,
                        expires_at=entry.expires_at,
                        metadata=entry.metadata,
                    )
                )
        return keys, ordered[end - 1] if end < len(ordered) else None

    def sweep(self, limit: int) -> int:
        before = self._clock() - SWEEP_MARGIN_SECONDS
        swept = 0
        while self._expiring and self._expiring[0][0] <= before and swept < limit:
            _, namespace, key = heappop(self._expiring)
            operation = Get(namespace, key)
            entry = self.stored(operation)
            if entry is not None and not entry.is_alive(before):
                self.store(operation, None)
                swept += 1
        return swept

    def stored(self, operation: Operation) -> Entry | None:
        """Return the stored entry, expired or not."""
        return self._namespaces.get(operation.namespace, {}).get(operation.key)

    def store(self, operation: Operation, entry: Entry | None) -> None:
        """Store an entry; for `None`, remove the stored entry."""
        entries = self._namespaces.setdefault(operation.namespace, {})
        if (entry is None) is (operation.key in entries):
            self._ordered.pop(operation.namespace, None)
        if entry is None:
            entries.pop(operation.key, None)
        else:
            entries[operation.key] = entry
            if entry.expires_at is not None:
                heappush(self._expiring, (entry.expires_at, operation.namespace, operation.key))

    def _check_precondition(self, operation: Set | Delete) -> None:
        if operation.precondition is not None:
            entry = self.get(operation)
            if not operation.precondition.holds(entry.version if entry else None):
                raise PreconditionFailed
