"""Test records, which are written with a batch and made from its results."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from ...entry import Entry
from ...errors import Conflict, NotFound, PreconditionFailed
from ...operations import (
    MUST_NOT_EXIST,
    Batch,
    Get,
    Operation,
    Precondition,
    Record,
    Result,
    Updated,
)
from ...storage import Capability, Storage
from ..clock import MovedClock
from .case import StorageCase
from .operations import SPACE, add, put, take, touch

_RESERVED = "reserved"


class Records(StorageCase):
    async def test_a_record_is_written_with_the_batch_once(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs_records()
        operations: list[Operation] = [add("n"), Get(SPACE, "n")]
        made: list[Sequence[Result]] = []

        def make(results: Sequence[Result]) -> bytes:
            made.append(results)
            assert isinstance(results[0], Updated)
            assert results[1] == results[0].after
            assert results[0].after is not None
            return results[0].after.version.encode() + b"\xff"

        record = self._record(storage, clock, "n", make)
        await storage.batch(Batch(operations, record=record))
        written = await storage.get(Get(_RESERVED, record.key))
        entry = await storage.get(Get(SPACE, "n"))
        assert written is not None
        assert entry is not None
        assert written.value == entry.version.encode() + b"\xff"
        assert (written.is_json, written.expires_at) == (False, record.expires_at)
        for again in (False, True):
            with pytest.raises(Conflict) as caught:
                await storage.batch(Batch(operations, atomic=again, record=record))
            assert caught.value.failed == (2,)
        assert await storage.get(Get(SPACE, "n")) == entry
        clock.move(10)
        await storage.batch(Batch(operations, record=record))
        entry = await storage.get(Get(SPACE, "n"))
        assert entry is not None
        assert entry.value == b"2"

    async def test_a_batch_with_a_record_keeps_what_succeeds(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs_records()
        a, b = map(self.together, "ab")
        await storage.set(put(a, b"1"))
        operations: list[Operation] = [
            put(a, b"2", precondition=MUST_NOT_EXIST),
            Get(SPACE, a),
            touch(a, clock() + 60),
            put(b, b"3"),
            take(b),
            take(b),
        ]
        record = self._record(storage, clock, a, lambda results: str(len(results)).encode())
        results = await storage.batch(Batch(operations, record=record))
        kinds = [type(one) for one in results]
        assert kinds == [PreconditionFailed, Entry, str, str, Updated, NotFound]
        assert isinstance(results[1], Entry)
        assert results[1].value == b"1"
        entry = await storage.get(Get(SPACE, a))
        assert entry is not None
        assert (entry.value, entry.expires_at) == (b"1", clock() + 60)
        assert await storage.get(Get(SPACE, b)) is None
        written = await storage.get(Get(_RESERVED, record.key))
        assert written is not None
        assert written.value == b"6"

    async def test_a_record_that_cannot_be_made_undoes_the_batch(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs_records()
        version = await storage.set(put("a", b"1"))

        def make(results: Sequence[Result]) -> bytes:
            raise NotFound

        record = self._record(storage, clock, "a", make)
        with pytest.raises(NotFound):
            await storage.batch(Batch([put("a", b"2"), Get(SPACE, "a")], record=record))
        wrong = put("a", b"2", precondition=Precondition(("other",)))
        with pytest.raises(Conflict) as caught:
            await storage.batch(Batch([wrong], atomic=True, record=record))
        assert caught.value.failed == (0,)
        entry = await storage.get(Get(SPACE, "a"))
        assert entry is not None
        assert entry.version == version
        assert await storage.get(Get(_RESERVED, record.key)) is None

    async def test_of_repetitions_at_the_same_time_one_happens(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs_records()

        async def count(name: str) -> bool:
            record = self._record(storage, clock, "n", lambda _: b"1", name)
            try:
                await storage.batch(Batch([add("n")], record=record))
            except Conflict:
                return False
            return True

        tries = [count(str(name)) for name in range(5) for _ in range(4)]
        assert sum(await asyncio.gather(*tries)) == 5
        entry = await storage.get(Get(SPACE, "n"))
        assert entry is not None
        assert entry.value == b"5"

    def _needs_records(self) -> None:
        self._needs(Capability.ATOMIC_BATCHES)
        self._needs(Capability.NAMESPACES)
        self._needs(Capability.RESERVED)

    def _record(
        self,
        storage: Storage,
        clock: MovedClock,
        key: str,
        make: Callable[[Sequence[Result]], bytes],
        name: str = "record",
    ) -> Record:
        return Record(
            namespace=_RESERVED,
            key=storage.key_beside(key, name),
            expires_at=clock() + 10,
            make=make,
        )
