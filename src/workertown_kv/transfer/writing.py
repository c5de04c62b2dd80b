"""Write many entries into a storage, in batches of which several are under way."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Final

import msgspec

from ..errors import KvError, PreconditionFailed, ValueTooLarge
from ..operations import MUST_NOT_EXIST, Batch, Get, Set
from ..storage import Capability, Storage

BATCH_ENTRIES: Final = 1000
BATCH_BYTES: Final = 2 * 1024 * 1024
"""A batch ends once its values have this many bytes."""

_UNDER_WAY: Final = 8
"""The most batches that are written at the same time. SQLite commits them together."""
UNDER_WAY_BYTES: Final = 4 * BATCH_BYTES
"""The most bytes of values that are written at the same time, if they are several batches."""


class OnConflict(StrEnum):
    """What is done with an entry whose key exists already."""

    OVERWRITE = "overwrite"
    SKIP = "skip"
    FAIL = "fail"


class Tally(msgspec.Struct):
    """What was done with the entries so far, in the order in which they came."""

    written: int = 0
    skipped: int = 0
    """The entries that were left out because their keys existed."""
    expired: int = 0
    """The entries that were left out because they had expired."""
    last_key: str | None = None
    """The key of the last entry that was written, or left out."""
    last_namespace: str | None = None
    """The name of the namespace of this key."""

    @property
    def entries(self) -> int:
        """Return how many entries there were."""
        return self.written + self.skipped + self.expired


class KeyExists(KvError):
    """The key of an entry exists already, which `OnConflict.FAIL` makes an error."""

    status = 409

    def __init__(self, key: str) -> None:
        super().__init__(f"The key {key[:100]!r} exists already")


class _UnderWay(msgspec.Struct, frozen=True):
    """A batch that is being written."""

    last: tuple[str, str]
    """The namespace and the key of the last entry."""
    keys: frozenset[tuple[str, str]]
    size: int
    task: asyncio.Task[Tally]


class Writer:
    """Writes entries in batches.

    Batches that are under way at the same time have no key in common, so that of several entries
    with a key the last entry stays.
    """

    def __init__(
        self,
        storage: Storage,
        on_conflict: OnConflict = OnConflict.OVERWRITE,
        *,
        is_dry_run: bool = False,
        tally: Tally | None = None,
        on_progress: Callable[[Tally], None] | None = None,
    ) -> None:
        """Write to a storage; `tally` is that of a run that did not end, which this continues.

        That run may have written more than its tally has. So with `OnConflict.FAIL`, an entry that
        is there exactly as it would be written is then no conflict.
        """
        self._continues = tally is not None
        self.tally = Tally() if tally is None else tally
        """What is certainly done."""
        self.has_written = False
        """Whether an entry was written, perhaps after one that the tally does not have."""
        self._storage = storage
        self._on_conflict = on_conflict
        self._is_dry_run = is_dry_run
        self._on_progress = on_progress
        self._to_skip = self.tally.entries
        self._writes: list[Set] = []
        self._size = 0
        self._under_way: deque[_UnderWay] = deque()
        self._size_under_way = 0

    async def write(self, writes: Iterable[Set]) -> None:
        """Write entries; it returns before they are all written."""
        for write in writes:
            if self._to_skip:
                self._to_skip -= 1
                continue
            # Over HTTP, a batch has only one namespace.
            if self._writes and self._writes[0].namespace != write.namespace:
                await self._begin_batch()
            self._writes.append(write)
            self._size += len(write.value)
            if len(self._writes) == BATCH_ENTRIES or self._size >= BATCH_BYTES:
                await self._begin_batch()

    async def finish(self) -> Tally:
        """Wait until all entries are written."""
        if self._writes:
            await self._begin_batch()
        while self._under_way:
            await self._end_batch()
        return self.tally

    async def abort(self) -> None:
        """Wait for the batches under way, and count those before the first that failed.

        A later run continues after as many entries as were counted, so none may be left out.
        """
        self._writes.clear()
        tasks = [batch.task for batch in self._under_way]
        try:
            with suppress(KvError, asyncio.CancelledError):  # the caller raises the first failure
                while self._under_way:
                    await self._end_batch()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._under_way.clear()

    async def _begin_batch(self) -> None:
        writes, size = self._writes, self._size
        self._writes, self._size = [], 0
        keys = frozenset([(write.namespace, write.key) for write in writes])
        while self._under_way and (
            len(self._under_way) == _UNDER_WAY
            or self._size_under_way + size > UNDER_WAY_BYTES
            or not all(keys.isdisjoint(one.keys) for one in self._under_way)
        ):
            await self._end_batch()
        task = asyncio.create_task(self._write_batch(writes))
        last = (writes[-1].namespace, writes[-1].key)
        self._under_way.append(_UnderWay(last, keys, size, task))
        self._size_under_way += size

    async def _end_batch(self) -> None:
        batch = self._under_way[0]
        done = await batch.task
        # A batch that has failed stays, so that `abort` counts none after it.
        self._under_way.popleft()
        self._size_under_way -= batch.size
        total = self.tally
        total.written += done.written
        total.skipped += done.skipped
        total.expired += done.expired
        total.last_namespace, total.last_key = batch.last
        if self._on_progress is not None:
            self._on_progress(total)

    async def _write_batch(self, writes: Sequence[Set]) -> Tally:
        now = self._storage.clock()
        alive = [one for one in writes if one.expires_at is None or one.expires_at > now]
        done = Tally(expired=len(writes) - len(alive))
        if self._on_conflict is not OnConflict.OVERWRITE:
            if self._is_dry_run or Capability.PRECONDITIONS in self._storage.lacks:
                alive = await self._without_existing(alive, done)
            else:
                alive = [msgspec.structs.replace(one, precondition=MUST_NOT_EXIST) for one in alive]
        if self._is_dry_run:
            done.written = len(alive)
            return done
        results = await self._storage.batch(Batch(alive)) if alive else ()
        if not all(isinstance(result, KvError) for result in results):
            self.has_written = True
        for write, result in zip(alive, results, strict=True):
            if isinstance(result, PreconditionFailed):
                await self._leave(write, done)
            elif isinstance(result, KvError):
                result.message = f"The key {write.key[:100]!r} cannot be written: {result.message}"
                raise result
            else:
                done.written += 1
        return done

    async def _without_existing(self, writes: Sequence[Set], done: Tally) -> list[Set]:
        """Return the entries whose keys do not exist, and skip the others."""
        gets = [Get(write.namespace, write.key) for write in writes]
        results = await self._storage.batch(Batch(gets, read_bytes=BATCH_BYTES)) if gets else ()
        left = []
        for write, result in zip(writes, results, strict=True):
            if result is None:
                left.append(write)
            elif isinstance(result, KvError) and not isinstance(result, ValueTooLarge):
                raise result
            else:
                # A value that is too large to be read with the others exists, too.
                await self._leave(write, done)
        return left

    async def _leave(self, write: Set, done: Tally) -> None:
        """Count an entry whose key exists. Raises `KeyExists` if that is an error."""
        if self._on_conflict is OnConflict.SKIP:
            done.skipped += 1
        elif self._continues and await self._is_there(write):
            done.written += 1
        else:
            raise KeyExists(write.key)

    async def _is_there(self, write: Set) -> bool:
        present = await self._storage.get(Get(write.namespace, write.key))
        return present is not None and present == write.entry(present.version)
