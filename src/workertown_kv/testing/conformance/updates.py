"""Test updates, which decide on the present entry."""

import asyncio

import pytest

from ...entry import Entry
from ...errors import Conflict, NotFound, PatchConflict, PreconditionFailed, ValueTooLarge
from ...operations import (
    MUST_EXIST,
    MUST_NOT_EXIST,
    Batch,
    Get,
    Operation,
    Precondition,
    Update,
    Updated,
)
from ...storage import Capability, Storage
from ..clock import MovedClock
from .case import StorageCase
from .operations import SPACE, add, grown, put, refuse, take, touch


class Updates(StorageCase):
    async def test_an_update_decides_on_the_present_entry(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.PRECONDITIONS)
        first = await storage.update(add("n"))
        assert first.before is None
        assert first.after == await storage.get(Get(SPACE, "n"))
        second = await storage.update(add("n"))
        assert second.before == first.after
        assert second.after is not None
        assert second.after.value == b"2"
        assert second.after == await storage.get(Get(SPACE, "n"))
        await storage.set(put("n", b"5", expires_at=clock() + 1))
        clock.move(1)
        third = await storage.update(add("n"))
        assert third.before is None
        assert third.after is not None
        assert third.after.value == b"1"

    async def test_an_update_may_delete_touch_or_do_nothing(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.PRECONDITIONS)
        version = await storage.set(put("a", b"1"))
        before = await storage.get(Get(SPACE, "a"))
        nothing = Update(namespace=SPACE, key="a", decide=lambda _: None)
        assert await storage.update(nothing) == Updated(before, before)
        if Capability.TOUCH not in self.lacks:
            new = clock() + 10
            longer = Update(namespace=SPACE, key="a", decide=lambda _: touch("a", new))
            updated = await storage.update(longer)
            assert updated.before == before
            assert updated.after is not None
            assert (updated.after.version, updated.after.expires_at) == (version, new)
            assert await storage.get(Get(SPACE, "a")) == updated.after
            before = updated.after
        assert await storage.update(take("a")) == Updated(before, None)
        assert await storage.get(Get(SPACE, "a")) is None
        with pytest.raises(NotFound):
            await storage.update(take("a"))

    async def test_an_update_that_fails_changes_nothing(self, storage: Storage) -> None:
        self._needs(Capability.PRECONDITIONS)
        version = await storage.set(put("a", b"1"))
        with pytest.raises(PatchConflict):
            await storage.update(refuse("a"))
        for wrong in (Precondition(("other",)), MUST_NOT_EXIST):
            with pytest.raises(PreconditionFailed):
                await storage.update(add("a", wrong))
        with pytest.raises(PreconditionFailed):
            await storage.update(add("absent", MUST_EXIST))
        entry = await storage.get(Get(SPACE, "a"))
        assert entry is not None
        assert (entry.value, entry.version) == (b"1", version)
        assert await storage.get(Get(SPACE, "absent")) is None
        await storage.update(add("a", Precondition((version,))))
        await storage.update(add("absent", MUST_NOT_EXIST))

    async def test_updates_at_the_same_time_lose_nothing(self, storage: Storage) -> None:
        self._needs(Capability.PRECONDITIONS)

        async def count(times: int) -> list[bytes]:
            seen = []
            for _ in range(times):
                updated = await storage.update(add("n"))
                assert updated.after is not None
                seen.append(updated.after.value)
            return seen

        seen = [
            one for some in await asyncio.gather(*(count(10) for _ in range(8))) for one in some
        ]
        assert sorted(map(int, seen)) == list(range(1, 81))
        entry = await storage.get(Get(SPACE, "n"))
        assert entry is not None
        assert entry.value == b"80"

    async def test_updates_and_touches_at_the_same_time_lose_nothing(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.PRECONDITIONS)
        self._needs(Capability.TOUCH)
        await storage.set(put("n", b"0"))

        async def touch_often() -> None:
            for i in range(1, 41):
                await storage.touch(touch("n", clock() + i))
                entry = await storage.get(Get(SPACE, "n"))
                assert entry is not None
                assert entry.expires_at == clock() + i

        async def count() -> None:
            for _ in range(40):
                await storage.update(add("n"))

        await asyncio.gather(touch_often(), count(), count())
        entry = await storage.get(Get(SPACE, "n"))
        assert entry is not None
        assert (entry.value, entry.expires_at) == (b"80", clock() + 40)

    async def test_each_entry_is_taken_once(self, storage: Storage) -> None:
        self._needs(Capability.PRECONDITIONS)
        for i in range(20):
            await storage.set(put(f"job{i}", str(i).encode()))

        async def take_all() -> list[bytes]:
            taken = []
            for i in range(20):
                try:
                    updated = await storage.update(take(f"job{i}"))
                except NotFound:
                    continue
                assert updated.before is not None
                taken.append(updated.before.value)
            return taken

        taken = [
            one for some in await asyncio.gather(*(take_all() for _ in range(4))) for one in some
        ]
        assert sorted(map(int, taken)) == list(range(20))

    async def test_updates_are_part_of_batches(self, storage: Storage) -> None:
        self._needs(Capability.PRECONDITIONS)
        await storage.set(put("a", b"1"))
        results = await storage.batch(
            Batch(
                [
                    add("a"),
                    Get(SPACE, "a"),
                    put("a", b"10"),
                    add("a"),
                    add("a", MUST_NOT_EXIST),
                    refuse("a"),
                    take("a"),
                    take("a"),
                    add("a", by=5),
                ]
            )
        )
        first, got, _, second, failed, refused, taken, absent, last = results
        assert isinstance(got, Entry)
        assert got.value == b"2"
        values = []
        for one in (first, second, taken, last):
            assert isinstance(one, Updated)
            values.append([entry and entry.value for entry in (one.before, one.after)])
        assert values == [[b"1", b"2"], [b"10", b"11"], [b"11", None], [None, b"5"]]
        kinds = [type(one) for one in (failed, refused, absent)]
        assert kinds == [PreconditionFailed, PatchConflict, NotFound]
        entry = await storage.get(Get(SPACE, "a"))
        assert isinstance(last, Updated)
        assert entry == last.after

    async def test_updates_are_part_of_atomic_batches(self, storage: Storage) -> None:
        self._needs(Capability.ATOMIC_BATCHES)
        a, b = map(self.together, "ab")
        version = await storage.set(put(a, b"1"))
        with pytest.raises(Conflict) as caught:
            await storage.batch(Batch([add(a), add(b, MUST_EXIST)], atomic=True))
        assert caught.value.failed == (1,)
        with pytest.raises(PatchConflict):
            await storage.batch(Batch([add(a), put(b), refuse(a)], atomic=True))
        entry = await storage.get(Get(SPACE, a))
        assert entry is not None
        assert entry.version == version
        assert await storage.get(Get(SPACE, b)) is None
        operations: list[Operation] = [add(a), add(a), put(b, b"7"), add(b), take(b)]
        results = await storage.batch(Batch(operations, atomic=True))
        assert isinstance(results[1], Updated)
        assert results[1].after == await storage.get(Get(SPACE, a))
        assert isinstance(results[4], Updated)
        assert results[4].before is not None
        assert results[4].before.value == b"8"
        assert await storage.get(Get(SPACE, b)) is None

    async def test_updates_past_the_budget_of_a_batch_write_nothing(self, storage: Storage) -> None:
        self._needs(Capability.PRECONDITIONS)
        keys = [self.together(key) for key in "abc"]
        for key in keys:
            await storage.set(put(key, b"1"))
        grow: list[Operation] = [grown(key, 100) for key in keys]
        results = await storage.batch(Batch(grow, read_bytes=250))
        assert [type(result) for result in results] == [Updated, Updated, ValueTooLarge]
        assert [await self._size(storage, key) for key in keys] == [100, 100, 1]
        # The value before an update counts too.
        (result,) = await storage.batch(Batch([grown(keys[0], 10)], read_bytes=50))
        assert isinstance(result, ValueTooLarge)
        assert await self._size(storage, keys[0]) == 100
        if Capability.ATOMIC_BATCHES not in self.lacks:
            with pytest.raises(ValueTooLarge):
                await storage.batch(
                    Batch(
                        [put(keys[0]), grown(keys[2], 200), grown(keys[1], 200)],
                        atomic=True,
                        read_bytes=450,
                    )
                )
            assert [await self._size(storage, key) for key in keys] == [100, 100, 1]

    async def _size(self, storage: Storage, key: str) -> int:
        entry = await storage.get(Get(SPACE, key))
        return 0 if entry is None else len(entry.value)

    async def test_atomic_batches_of_updates_at_the_same_time_lose_nothing(
        self, storage: Storage
    ) -> None:
        self._needs(Capability.ATOMIC_BATCHES)
        a, b = map(self.together, "ab")

        async def move() -> None:
            for _ in range(5):
                await storage.batch(Batch([add(a), add(b, by=-1)], atomic=True))

        await asyncio.gather(*(move() for _ in range(4)))
        values = []
        for key in (a, b):
            entry = await storage.get(Get(SPACE, key))
            assert entry is not None
            values.append(entry.value)
        assert values == [b"20", b"-20"]
