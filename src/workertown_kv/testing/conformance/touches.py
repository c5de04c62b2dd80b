"""Test touches, which change a lifetime."""

import pytest

from ...entry import Entry
from ...errors import Conflict, NotFound, PreconditionFailed
from ...operations import (
    MUST_EXIST,
    MUST_NOT_EXIST,
    Batch,
    Delete,
    Get,
    Operation,
    Precondition,
    unchanged,
)
from ...storage import SWEEP_MARGIN_SECONDS, Capability, Storage
from ..clock import MovedClock
from .case import StorageCase
from .operations import SPACE, add, put, touch


class Touches(StorageCase):
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
