"""Test touches, which change a lifetime, and updates, which decide on the present entry."""

import asyncio

import pytest

from ...entry import Entry
from ...errors import Conflict, NotFound, PatchConflict, PreconditionFailed, ValueTooLarge
from ...operations import (
    MUST_EXIST,
    MUST_NOT_EXIST,
    Batch,
    Decision,
    Delete,
    Get,
    Operation,
    Precondition,
    Touch,
    Update,
    Updated,
    unchanged,
)
from ...storage import SWEEP_MARGIN_SECONDS, Capability, Storage
from ..clock import MovedClock
from .case import SPACE, StorageCase, put


def touch(key: str, expires_at: float | None, precondition: Precondition | None = None) -> Touch:
    """Return the operation that changes a lifetime."""
    return Touch(namespace=SPACE, key=key, expires_at=expires_at, precondition=precondition)


def add(key: str, precondition: Precondition | None = None, by: int = 1) -> Update:
    """Return the operation that adds to a whole number, and keeps the lifetime."""

    def decide(entry: Entry | None) -> Decision:
        text = str(int(entry.value if entry else b"0") + by).encode()
        return put(key, text, expires_at=entry.expires_at if entry else None)

    return Update(namespace=SPACE, key=key, decide=decide, precondition=precondition)


def grown(key: str, size: int) -> Update:
    """Return the operation that writes a value of this many bytes."""
    return Update(namespace=SPACE, key=key, decide=lambda _: put(key, b"1" * size))


def take(key: str) -> Update:
    """Return the operation that removes an entry and shows it."""

    def decide(entry: Entry | None) -> Decision:
        if entry is None:
            raise NotFound
        return Delete(SPACE, key)

    return Update(namespace=SPACE, key=key, decide=decide)


def refuse(key: str) -> Update:
    """Return an update that always fails."""

    def decide(entry: Entry | None) -> Decision:
        raise PatchConflict("No")

    return Update(namespace=SPACE, key=key, decide=decide)


class Updates(StorageCase):
    async def test_a_touch_changes_only_the_lifetime(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.TOUCH)
        for expires_at in (None, clock() + 10):
            version = await storage.set(
                put("a", b"\xff", is_json=False, metadata=b'{"a":1}', expires_at=expires_at)
            )
            for new in (clock() + 20.5, clock() + 5, None, clock() + 30, clock() + 30):
                assert await storage.touch(touch("a", new)) == version
                entry = await storage.get(Get(SPACE, "a"))
                assert entry == Entry(
                    key="a",
                    value=b"\xff",
                    is_json=False,
                    metadata=b'{"a":1}',
                    expires_at=new,
                    version=version,
                )

    async def test_a_touched_entry_expires_at_its_new_time(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.TOUCH)
        for key in ("longer", "shorter", "kept"):
            await storage.set(put(key, expires_at=clock() + 10))
        await storage.touch(touch("longer", clock() + 20))
        await storage.touch(touch("shorter", clock() + 5))
        await storage.touch(touch("kept", None))
        clock.move(5)
        assert await storage.get(Get(SPACE, "shorter")) is None
        clock.move(14.999)
        assert await storage.get(Get(SPACE, "longer")) is not None
        clock.move(0.001)
        assert await storage.get(Get(SPACE, "longer")) is None
        clock.move(2 * SWEEP_MARGIN_SECONDS)
        await storage.sweep(10)
        assert await storage.get(Get(SPACE, "kept")) is not None

    async def test_a_sweep_knows_the_new_lifetime(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.TOUCH)
        if self.engine_expires or type(storage).sweep is Storage.sweep:
            pytest.skip("the engine removes expired entries itself")
        await storage.set(put("never", expires_at=clock() + 1))
        await storage.set(put("later", expires_at=clock() + 1))
        await storage.set(put("soon"))
        await storage.touch(touch("never", None))
        await storage.touch(touch("later", clock() + 1000))
        await storage.touch(touch("soon", clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        assert await storage.sweep(10) == 1
        clock.move(1000)
        assert await storage.sweep(10) == 1
        assert await storage.get(Get(SPACE, "never")) is not None

    async def test_a_touch_makes_no_entry(self, storage: Storage, clock: MovedClock) -> None:
        self._needs(Capability.TOUCH)
        assert await storage.touch(touch("a", None)) is None
        await storage.set(put("a", expires_at=clock() + 1))
        clock.move(1)
        assert await storage.touch(touch("a", clock() + 10)) is None
        assert await storage.get(Get(SPACE, "a")) is None

    async def test_a_touch_happens_only_if_its_precondition_holds(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.TOUCH)
        version = await storage.set(put("a"))
        this, other = Precondition((version,)), Precondition(("other",))
        not_this, not_other = (Precondition(one.versions, negated=True) for one in (this, other))
        for wrong in (other, not_this, MUST_NOT_EXIST):
            with pytest.raises(PreconditionFailed):
                await storage.touch(touch("a", clock() + 1, wrong))
        for wrong in (MUST_EXIST, this):
            with pytest.raises(PreconditionFailed):
                await storage.touch(touch("absent", None, wrong))
        for right in (this, not_other, MUST_EXIST):
            assert await storage.touch(touch("a", clock() + 2, right)) == version
        for right in (MUST_NOT_EXIST, not_other):
            assert await storage.touch(touch("absent", None, right)) is None

    async def test_a_precondition_can_include_the_lifetime(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.PRECONDITIONS)
        self._needs(Capability.TOUCH)
        for first, second in (
            (None, clock() + 10.25),
            (clock() + 10.25, clock() + 20),
            (clock() + 9, None),
        ):
            await storage.set(put("a", expires_at=first))
            before = await storage.get(Get(SPACE, "a"))
            await storage.touch(touch("a", second, unchanged(before)))
            with pytest.raises(PreconditionFailed):
                await storage.set(put("a", b"2", precondition=unchanged(before)))
            with pytest.raises(PreconditionFailed):
                await storage.delete(Delete(SPACE, "a", unchanged(before)))
            with pytest.raises(PreconditionFailed):
                await storage.touch(touch("a", clock() + 99, unchanged(before)))
            after = await storage.get(Get(SPACE, "a"))
            assert after is not None
            assert after.expires_at == second
            await storage.set(put("a", b"2", precondition=unchanged(after)))
            again = await storage.get(Get(SPACE, "a"))
            await storage.delete(Delete(SPACE, "a", unchanged(again)))

    async def test_touches_are_part_of_batches(self, storage: Storage, clock: MovedClock) -> None:
        self._needs(Capability.TOUCH)
        version = await storage.set(put("a"))
        new = clock() + 10
        results = await storage.batch(
            Batch(
                [
                    touch("a", clock() + 5),
                    touch("a", new),
                    touch("absent", new),
                    put("b"),
                    touch("b", new),
                    put("c", expires_at=new),
                    Delete(SPACE, "c"),
                    touch("c", None),
                    touch("a", None, Precondition(("other",))),
                ]
            )
        )
        assert [type(one) for one in results[-1:]] == [PreconditionFailed]
        assert results[:3] == [version, version, None]
        assert results[4] == results[3]
        assert results[6:8] == [None, None]
        for key in ("a", "b"):
            entry = await storage.get(Get(SPACE, key))
            assert entry is not None
            assert entry.expires_at == new

    async def test_touches_are_part_of_atomic_batches(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.TOUCH)
        self._needs(Capability.ATOMIC_BATCHES)
        a, b, c = map(self.together, "abc")
        versions = [await storage.set(put(key, b"1")) for key in (a, b)]
        known = [Precondition((version,)) for version in versions]
        new = clock() + 10
        operations: list[Operation] = [
            touch(a, new, known[0]),
            put(b, b"2", precondition=known[1]),
            touch(b, new),
            put(c, expires_at=new),
            touch(c, None),
        ]
        with pytest.raises(Conflict) as caught:
            await storage.batch(Batch([*operations, touch(a, None, known[1])], atomic=True))
        assert caught.value.failed == (5,)
        results = await storage.batch(Batch(operations, atomic=True))
        assert results[0] == versions[0]
        assert results[2] == results[1]
        found = [await storage.get(Get(SPACE, key)) for key in (a, b, c)]
        assert [one and (one.value, one.expires_at, one.version) for one in found] == [
            (b"1", new, versions[0]),
            (b"2", new, results[1]),
            (b"1", None, results[3]),
        ]

    async def test_a_touch_without_an_entry_undoes_an_atomic_batch(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.TOUCH)
        self._needs(Capability.ATOMIC_BATCHES)
        a, b, expired = map(self.together, "abc")
        version = await storage.set(put(a, b"1"))
        await storage.set(put(expired, expires_at=clock() + 1))
        clock.move(1)
        new = clock() + 10
        others: list[Operation] = [touch(a, new), put(a, b"2"), put(b), Get(SPACE, a)]
        for absent in (
            touch(expired, new),
            touch(self.together("d"), None),
            touch(self.together("d"), None, MUST_NOT_EXIST),
        ):
            for more in ([], [add(a)]):
                for operations in ([absent, *others, *more], [*others, *more, absent]):
                    with pytest.raises(NotFound):
                        await storage.batch(Batch(operations, atomic=True))
        with pytest.raises(NotFound):
            await storage.batch(Batch([put(b), Delete(SPACE, b), touch(b, new)], atomic=True))
        with pytest.raises(Conflict) as caught:
            await storage.batch(Batch([touch(b, new), put(a, precondition=MUST_NOT_EXIST)], True))
        assert caught.value.failed == (1,)
        entry = await storage.get(Get(SPACE, a))
        assert entry is not None
        assert (entry.value, entry.expires_at, entry.version) == (b"1", None, version)
        assert await storage.get(Get(SPACE, b)) is None

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
