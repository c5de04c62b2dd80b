"""Keep entries in the memory of this process, for tests and for entries that may be lost."""

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from ..entry import DEFAULT_NAMESPACE, Entry, KeyInfo
from ..errors import KvError, PreconditionFailed, StorageUnavailable
from ..meters.catalogue import ENTRIES
from ..meters.metric import Measurement
from ..operations import (
    Batch,
    Change,
    ChangePage,
    Delete,
    DeletePrefix,
    Deletion,
    Event,
    Get,
    List,
    Operation,
    Page,
    ReadChanges,
    Result,
    Set,
    Touch,
    Update,
    Updated,
)
from .batch import keys_of, run_batch, touched, update
from .change_log import ChangeLog, Waiting
from .contract import SWEEP_MARGIN_SECONDS, Capability, Clock, Migration, Storage
from .deletion import Step, delete_in_steps
from .expiry_heap import Expiry, ExpiryHeap
from .listing import KeyRange, list_page
from .version import new_version

SCANNED_ENTRIES: Final = 10_000
"""The most entries, expired or not, that a listing reads before other requests run."""


class MemoryStorage(Storage):
    """Keeps entries in a dictionary. They end with the process, and no other process sees them.

    `values` are the first entries, in the default namespace. Listing costs O(log n + limit), and
    O(n log n) if keys were added or removed since the last listing.
    """

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
        if self.retention is None:
            # Changes that are not recorded now must not be missing from a log that goes on later.
            self._table.log = ChangeLog()
        self._table.log.retention = self.retention
        return ()

    async def close(self) -> None:
        self._closed = True
        self._table.waiting.wake()

    def measurements(self) -> Iterator[Measurement]:
        yield Measurement(ENTRIES, len(self._table))

    async def get(self, operation: Get) -> Entry | None:
        return self._opened().get(operation)

    async def set(self, operation: Set) -> str:
        return self._opened().set(operation)

    async def delete(self, operation: Delete) -> None:
        self._opened().delete(operation)

    async def touch(self, operation: Touch) -> str | None:
        return self._opened().touch(operation)

    async def update(self, operation: Update) -> Updated:
        table = self._opened()
        return update(table, operation, table.get(operation))

    async def list(self, operation: List) -> Page:
        async def read(keys: KeyRange, wanted: int) -> tuple[Sequence[KeyInfo], KeyRange | None]:
            found, rest = self._opened().list_some(operation, keys, wanted)
            if rest is not None and len(found) < wanted:
                await asyncio.sleep(0)
            return found, rest

        return await list_page(operation, read)

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        async def delete_some(keys: KeyRange, limit: int) -> Step:
            await asyncio.sleep(0)
            return self._opened().delete_some(operation, keys, limit)

        return await delete_in_steps(operation, delete_some)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        table = self._opened()
        length = len(table.log)
        before = [(item, table.stored(item)) for item in keys_of(operation)]
        try:
            return run_batch(table, operation)
        except KvError:
            for item, entry in before:
                table.store(item, entry)
            table.log.undo_to(length)
            raise

    async def changes(self, operation: ReadChanges) -> ChangePage:
        if self.retention is None:
            raise self.unsupported(Capability.CHANGES)
        until = time.monotonic() + operation.wait
        while True:
            page = self._opened().changes(operation)
            left = until - time.monotonic()
            if page.changes or operation.since is None or left <= 0:
                return page
            await self._table.wait_for_change(left)

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
        self._expiring = ExpiryHeap(self._is_current)
        """The entries to sweep."""
        self.log = ChangeLog()
        self.waiting = Waiting()
        self._due = ExpiryHeap(self._is_current)
        """The entries whose expiry is to be recorded."""
        self._expired_until = 0.0
        """The expiries until this time are recorded."""

    def __len__(self) -> int:
        return sum(map(len, self._namespaces.values()))

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

    def touch(self, operation: Touch) -> str | None:
        self._check_precondition(operation)
        entry = touched(self.get(operation), operation)
        if entry is None:
            return None
        self.store(operation, entry)
        return entry.version

    def list_some(
        self, operation: List, keys: KeyRange, wanted: int
    ) -> tuple[Sequence[KeyInfo], KeyRange | None]:
        """Return up to `wanted` keys of a range, out of the next `SCANNED_ENTRIES` entries.

        Also returns the rest of the range, `None` if there are no more keys in it.
        """
        entries = self._namespaces.get(operation.namespace, {})
        ordered, positions = self._in_order(operation.namespace, keys)
        if operation.is_reverse:
            positions = positions[::-1]
        now = self._clock()
        found: list[KeyInfo] = []
        for position in positions[:SCANNED_ENTRIES]:
            entry = entries[ordered[position]]
            if entry.is_alive(now):
                found.append(
                    KeyInfo(
                        key=entry.key,
                        version=entry.version,
                        expires_at=entry.expires_at,
                        metadata=entry.metadata,
                    )
                )
                if len(found) == wanted:
                    return found, keys.past(entry.key, is_reverse=operation.is_reverse)
        if len(positions) <= SCANNED_ENTRIES:
            return found, None
        last = ordered[positions[SCANNED_ENTRIES - 1]]
        return found, keys.past(last, is_reverse=operation.is_reverse)

    def delete_some(self, operation: DeletePrefix, keys: KeyRange, limit: int) -> Step:
        """Delete the entries among the first keys of a range, as `DeleteSome` says."""
        space = operation.namespace
        ordered, positions = self._in_order(space, keys)
        entries, now = self._namespaces.get(space, {}), self._clock()
        some = ordered[positions.start : positions.start + min(limit, len(positions))]
        for key in some:
            if entries[key].is_alive(now):
                self.store(Delete(space, key), None)
        left = [key for key in some if key in entries]
        # Sorting all keys again after each step would take long.
        ordered[positions.start : positions.start + len(some)] = left
        self._ordered[space] = ordered
        rest = keys.past(some[-1], is_reverse=False) if len(some) < len(positions) else None
        return len(some) - len(left), rest

    def changes(self, operation: ReadChanges) -> ChangePage:
        now = self._clock()
        self._record_expired(now)
        self.log.remove_old(now)
        return self.log.page(operation)

    async def wait_for_change(self, seconds: float) -> None:
        """Wait until an entry changes or expires, at most this long."""
        due = self._due.first
        if due is not None:
            seconds = min(seconds, max(0.0, due - self._clock()))
        await self.waiting.wait(seconds)

    def sweep(self, limit: int) -> int:
        now = self._clock()
        self._record_expired(now)
        self.log.remove_old(now)
        before = now - SWEEP_MARGIN_SECONDS
        swept = 0
        while swept < limit and (expiry := self._expiring.pop(before)):
            _, namespace, key = expiry
            operation = Get(namespace, key)
            entry = self.stored(operation)
            if entry is not None and not entry.is_alive(before):
                self.store(operation, None)
                swept += 1
        return swept

    def stored(self, operation: Operation) -> Entry | None:
        """Return the stored entry, expired or not."""
        return self._namespaces.get(operation.namespace, {}).get(operation.key)

    def _is_current(self, expiry: Expiry) -> bool:
        expires_at, namespace, key = expiry
        entry = self.stored(Get(namespace, key))
        return entry is not None and entry.expires_at == expires_at

    def store(self, operation: Operation, entry: Entry | None) -> None:
        """Store an entry; for `None`, remove the stored entry."""
        entries = self._namespaces.setdefault(operation.namespace, {})
        old = entries.get(operation.key)
        if (entry is None) is (operation.key in entries):
            self._ordered.pop(operation.namespace, None)
        if entry is None:
            entries.pop(operation.key, None)
        else:
            entries[operation.key] = entry
            if entry.expires_at is not None:
                self._expiring.add((entry.expires_at, operation.namespace, operation.key))
        if self.log.retention is not None:
            self._record(operation, old, entry)

    def _in_order(self, namespace: str, keys: KeyRange) -> tuple[list[str], range]:
        """Return all keys of a namespace in order, and the positions of those in a range."""
        ordered = self._ordered.get(namespace)
        if ordered is None:
            # Code points sort as their UTF-8 bytes do.
            ordered = self._ordered[namespace] = sorted(self._namespaces.get(namespace, {}))
        bisect = bisect_right if keys.is_after_start else bisect_left
        start = bisect(ordered, keys.start)
        end = len(ordered) if keys.end is None else bisect_left(ordered, keys.end, start)
        return ordered, range(start, end)

    def _record(self, operation: Operation, old: Entry | None, new: Entry | None) -> None:
        """Record the change from an entry, which may have expired, to another."""
        now = self._clock()
        space = operation.namespace
        if old is not None and old.expires_at is not None and old.expires_at <= now:
            if old.expires_at > self._expired_until:
                self._add(Event.EXPIRE, space, old)
            old = None
        if new is not None:
            is_touch = old is not None and old.version == new.version
            self._add(Event.TOUCH if is_touch else Event.SET, space, new)
            if new.expires_at is not None:
                if new.expires_at <= self._expired_until:
                    self._add(Event.EXPIRE, space, new)
                else:
                    self._due.add((new.expires_at, space, new.key))
        elif old is not None:
            self._add(Event.DELETE, space, old)
        self.waiting.wake()

    def _record_expired(self, now: float) -> None:
        recorded = set()
        while expiry := self._due.pop(now):
            _, space, key = expiry
            entry = self.stored(Get(space, key))
            # The entry may have been written again since, also with the same lifetime.
            if entry is not None and self._is_current(expiry) and entry.version not in recorded:
                recorded.add(entry.version)
                self._add(Event.EXPIRE, space, entry)
        self._expired_until = max(self._expired_until, now)

    def _add(self, event: Event, namespace: str, entry: Entry) -> None:
        is_new = event in (Event.SET, Event.TOUCH)
        change = Change(
            event=event,
            namespace=namespace,
            key=entry.key,
            version=entry.version,
            expires_at=entry.expires_at if is_new else None,
            metadata=entry.metadata if is_new else None,
        )
        self.log.add(change, self._clock())

    def _check_precondition(self, operation: Set | Delete | Touch) -> None:
        condition = operation.precondition
        if condition is not None and not condition.allows(self.get(operation)):
            raise PreconditionFailed
