"""Test expiry."""

import pytest

from ...errors import PreconditionFailed
from ...operations import MUST_EXIST, MUST_NOT_EXIST, Batch, Delete, Get, Operation
from ...storage import SWEEP_MARGIN_SECONDS, Capability, Storage
from ..clock import MovedClock
from .case import StorageCase, put_all
from .operations import SPACE, put


class Lifetimes(StorageCase):
    async def test_an_entry_is_gone_from_the_moment_it_expires(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        await storage.set(put("a", expires_at=clock() + 1.5))
        clock.move(1.499)
        assert await storage.get(Get(SPACE, "a")) is not None
        clock.move(0.001)
        assert await storage.get(Get(SPACE, "a")) is None
        assert await storage.batch(Batch([Get(SPACE, "a")])) == [None]

    async def test_a_set_without_an_expiry_clears_an_older_one(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        await storage.set(put("a", expires_at=clock() + 1))
        await storage.set(put("a"))
        clock.move(10)
        assert await storage.get(Get(SPACE, "a")) is not None

    async def test_figures_count_the_entries_that_are_alive(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        await storage.set(put("text", '"é"'.encode()))
        await storage.set(put("bytes", b"\0\xff", is_json=False))
        await storage.set(put("dead", b"123", expires_at=clock() + 1))
        clock.move(2)
        figures = await storage.figures()
        if figures is not None:
            (found,) = (one for one in figures if one.namespace == SPACE)
            assert (found.entries, found.value_bytes) == (2, 6)
            assert found.expired in (0, 1)  # the engine may have removed it

    async def test_sweeping_removes_nothing_that_is_alive(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        await put_all(storage, (f"dead{i}" for i in range(30)), expires_at=clock() + 1)
        await put_all(storage, (f"later{i}" for i in range(30)), expires_at=clock() + 100)
        await put_all(storage, (f"always{i}" for i in range(30)))
        clock.move(2 + SWEEP_MARGIN_SECONDS)
        while await storage.sweep(7):
            pass
        for i in range(30):
            assert await storage.get(Get(SPACE, f"dead{i}")) is None
            assert await storage.get(Get(SPACE, f"later{i}")) is not None
            assert await storage.get(Get(SPACE, f"always{i}")) is not None

    async def test_sweeping_leaves_entries_that_may_be_alive_by_another_clock(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        await storage.set(put("a", expires_at=clock() + 1))
        clock.move(SWEEP_MARGIN_SECONDS)
        assert await storage.sweep(7) == 0
        clock.move(-SWEEP_MARGIN_SECONDS)  # the clock of another server
        assert await storage.get(Get(SPACE, "a")) is not None
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        if not (self.engine_expires or type(storage).sweep is Storage.sweep):
            assert await storage.sweep(7) == 1

    async def test_an_expired_entry_that_is_not_swept_counts_as_absent(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.PRECONDITIONS)
        for key in ("created", "guarded", "deleted"):
            await storage.set(put(key, expires_at=clock() + 1))
        clock.move(1)
        with pytest.raises(PreconditionFailed):
            await storage.set(put("guarded", precondition=MUST_EXIST))
        with pytest.raises(PreconditionFailed):
            await storage.delete(Delete(SPACE, "deleted", MUST_EXIST))
        await storage.set(put("created", b"2", precondition=MUST_NOT_EXIST))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        await storage.sweep(7)
        entry = await storage.get(Get(SPACE, "created"))
        assert entry is not None
        assert entry.value == b"2"

    async def test_an_atomic_batch_leaves_entries_that_may_be_alive_by_another_clock(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.ATOMIC_BATCHES)
        read, written, absent = map(self.together, ("read", "written", "absent"))
        version = await storage.set(put(read, expires_at=clock() + 1))
        clock.move(1)
        operations: list[Operation] = [
            Get(SPACE, read, MUST_NOT_EXIST),
            Get(SPACE, absent),
            put(written),
        ]
        results = await storage.batch(Batch(operations, atomic=True))
        assert list(results[:2]) == [None, None]
        clock.move(-1)  # the clock of another server
        entry = await storage.get(Get(SPACE, read))
        assert entry is not None
        assert entry.version == version
