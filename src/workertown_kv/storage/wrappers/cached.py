"""Cache reads in front of a distant storage. Cloudflare calls this `cacheTtl`.

A kept entry may be stale: reads see a write of another process at most `ttl` seconds later, or as
soon as the cache follows it. They see writes through this object at once.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from sys import getsizeof
from typing import Final

import msgspec

from ...entry import Entry
from ...meters.catalogue import CACHE_BYTES, CACHE_ENTRIES, CACHE_HITS, CACHE_MISSES
from ...meters.metric import Measurement
from ...operations import (
    Batch,
    Change,
    ChangePage,
    Delete,
    DeletePrefix,
    Deletion,
    Event,
    Get,
    List,
    Page,
    ReadChanges,
    Record,
    Result,
    Set,
    Touch,
    Update,
    Updated,
)
from ...options import CacheOptions
from ..contract import Clock, Figures, Migration, Storage
from .wrapper import Wrapper

_Key = tuple[str, str]

_OVERHEAD_BYTES = 350
"""The memory that an entry takes besides its texts and bytes, as tracemalloc shows."""


GAP_SECONDS: Final = 5.0
"""How long a cache that follows may hear nothing of the storage before its `ttl` counts again."""

FOLLOWED_SECONDS: Final = 3600.0
"""The longest time for which a cache that follows keeps an entry.

An engine may lose a write without a change, as in a failover of Redis.
"""

_NEVER: Final = float("-inf")


class _Kept(msgspec.Struct, frozen=True):
    entry: Entry | None
    started: float
    """When its read began."""
    size: int


class CachedStorage(Wrapper):
    """Keeps the results of single reads for a while. Everything else goes straight to the storage.

    Many requests that wait for the same entry cause one read. A missing entry is kept too. The age
    of an entry is measured by `stopwatch`, since the clock may be set back.

    The cache follows the storage while it is given all changes: it drops the entries that changed,
    and keeps the others for up to `FOLLOWED_SECONDS`. No entry is ever staler than `ttl`: if the
    cache has heard nothing for a while, the `ttl` counts again.
    """

    def __init__(
        self, storage: Storage, options: CacheOptions, *, stopwatch: Clock = time.monotonic
    ) -> None:
        super().__init__(storage)
        self._options = options
        self._ttl = options.ttl
        self._longest = max(FOLLOWED_SECONDS, options.ttl)
        self._gap = min(GAP_SECONDS, options.ttl)
        self._followed_until = _NEVER
        """Until when entries may be older than the ttl, if the cache hears nothing more."""
        self._stopwatch = stopwatch
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._fetching: dict[_Key, asyncio.Task[Entry | None]] = {}

    async def open(self) -> Sequence[Migration]:
        return await self._storage.open()

    async def learn(self) -> None:
        await self._storage.learn()

    async def close(self) -> None:
        self._clear()
        await self._storage.close()

    async def check(self) -> None:
        await self._storage.check()

    async def probe(self) -> None:
        await self._storage.probe()

    async def warnings(self) -> Sequence[str]:
        return await self._storage.warnings()

    async def figures(self) -> Sequence[Figures] | None:
        return await self._storage.figures()

    def measurements(self) -> Iterator[Measurement]:
        yield from self._storage.measurements()
        yield Measurement(CACHE_HITS, self._hits)
        yield Measurement(CACHE_MISSES, self._misses)
        yield Measurement(CACHE_ENTRIES, len(self._kept))
        yield Measurement(CACHE_BYTES, self._bytes)

    async def migrate(self, *, to: int | None = None) -> Sequence[Migration]:
        return await self._storage.migrate(to=to)

    async def sweep(self, limit: int) -> int:
        return await self._storage.sweep(limit)

    async def changes(self, operation: ReadChanges) -> ChangePage:
        return await self._storage.changes(operation)

    async def secret(self) -> bytes | None:
        return await self._storage.secret()

    async def list(self, operation: List) -> Page:
        return await self._storage.list(operation)

    async def list_entries(self, operation: List, read_bytes: int) -> Page:
        return await self._storage.list_entries(operation, read_bytes)

    async def get(self, operation: Get) -> Entry | None:
        key = (operation.namespace, operation.key)
        kept = self._kept.get(key)
        now = self._stopwatch()
        if kept is not None and now - kept.started < (
            self._longest if now < self._followed_until else self._ttl
        ):
            self._hits += 1
            self._kept.move_to_end(key)
            return kept.entry if kept.entry and kept.entry.is_alive(self.clock()) else None
        self._misses += 1
        fetching = self._fetching.get(key)
        if fetching is None or fetching.get_loop() is not asyncio.get_running_loop():
            fetching = asyncio.create_task(self._storage.get(operation))
            self._fetching[key] = fetching
            fetching.add_done_callback(lambda done: self._keep(key, now, done))
        # If a request gives up waiting, the others must still get the answer.
        entry = await asyncio.shield(fetching)
        return entry if entry and entry.is_alive(self.clock()) else None

    async def set(self, operation: Set) -> str:
        with self._writing([operation]):
            return await self._storage.set(operation)

    async def delete(self, operation: Delete) -> None:
        with self._writing([operation]):
            await self._storage.delete(operation)

    async def touch(self, operation: Touch) -> str | None:
        with self._writing([operation]):
            return await self._storage.touch(operation)

    async def update(self, operation: Update) -> Updated:
        with self._writing([operation]):
            return await self._storage.update(operation)

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        space, prefixes = operation.namespace, (operation.prefix,)
        self._forget_prefixes(space, prefixes)
        try:
            return await self._storage.delete_prefix(operation)
        finally:
            self._forget_prefixes(space, prefixes)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        with self._writing(
            [
                *(item for item in operation.operations if not isinstance(item, Get)),
                *([] if operation.record is None else [operation.record]),
            ]
        ):
            return await self._storage.batch(operation)

    @property
    def heartbeat_seconds(self) -> float:
        """How often the cache needs to hear of the storage, so that it goes on following."""
        return self._gap * 0.4

    def begin_following(self) -> None:
        """Learn that all changes from now on will come."""
        # An older entry may have changed unnoticed, and so may one that is being read.
        self._clear()
        self._fetching.clear()

    def follow(self, changes: Sequence[Change], age: float | None) -> None:
        """Drop the entries that changed. Whatever happened until so many seconds ago is known."""
        prefixes: dict[str, tuple[str, ...]] = {}
        for change in changes:
            space = change.namespace
            if change.event is Event.DELETE_PREFIX:
                prefixes[space] = (*prefixes.get(space, ()), change.key)
            elif not self._has(change):
                self._forget([(space, change.key)])
        for space, some in prefixes.items():
            self._forget_prefixes(space, some)
        if age is not None:
            self._followed_until = self._stopwatch() - age + self._gap

    def end_following(self) -> None:
        """Learn that changes may be missed until `begin_following`."""
        self._followed_until = _NEVER

    def _has(self, change: Change) -> bool:
        """Return whether what is kept has the change, as after a write through this process."""
        kept = self._kept.get((change.namespace, change.key))
        return (
            kept is not None
            and kept.entry is not None
            and change.event is Event.SET
            and change.version == kept.entry.version
        )

    @contextmanager
    def _writing(
        self, operations: Sequence[Set | Delete | Touch | Update | Record]
    ) -> Iterator[None]:
        """Keep no entry that was read before the end of the write, even of a failed write."""
        keys = [(operation.namespace, operation.key) for operation in operations]
        self._forget(keys)
        try:
            yield
        finally:
            self._forget(keys)

    def _forget(self, keys: Sequence[_Key]) -> None:
        for key in keys:
            # A read under way may return the older entry, which must not be kept.
            self._fetching.pop(key, None)
            self._drop(key)

    def _forget_prefixes(self, space: str, prefixes: tuple[str, ...]) -> None:
        known = {*self._kept, *self._fetching}
        self._forget([key for key in known if key[0] == space and key[1].startswith(prefixes)])

    def _keep(self, key: _Key, started: float, done: asyncio.Task[Entry | None]) -> None:
        failed = done.cancelled() or done.exception() is not None
        if self._fetching.get(key) is not done:
            return
        del self._fetching[key]
        if failed:
            return
        entry = done.result()
        size = _size(key, entry)
        self._drop(key)
        if size > self._options.bytes:
            return
        # The age counts from the start of the read, so that a kept entry is never older than
        # the ttl.
        self._kept[key] = _Kept(entry, started, size)
        self._bytes += size
        while len(self._kept) > self._options.entries or self._bytes > self._options.bytes:
            self._drop(next(iter(self._kept)))

    def _clear(self) -> None:
        self._kept.clear()
        self._bytes = 0

    def _drop(self, key: _Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= kept.size


def _size(key: _Key, entry: Entry | None) -> int:
    """Estimate how much memory an entry takes."""
    kept = key if entry is None else (*key, entry.key, entry.value, entry.metadata, entry.version)
    return _OVERHEAD_BYTES + sum(map(getsizeof, kept))
