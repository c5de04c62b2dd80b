"""Test conditional writes."""

import asyncio
from collections.abc import Sequence

import pytest

from ...errors import PreconditionFailed
from ...operations import MUST_EXIST, MUST_NOT_EXIST, Delete, Get, Precondition
from ...storage import Capability, Storage
from ..clock import MovedClock
from .case import StorageCase, value_of
from .operations import SPACE, put


class Preconditions(StorageCase):
    async def test_a_write_happens_only_if_its_precondition_holds(self, storage: Storage) -> None:
        self._needs(Capability.PRECONDITIONS)
        with pytest.raises(PreconditionFailed):
            await storage.set(put("a", precondition=MUST_EXIST))
        with pytest.raises(PreconditionFailed):
            await storage.set(put("a", precondition=Precondition(("v",))))
        first = await storage.set(put("a", b"1", precondition=MUST_NOT_EXIST))
        with pytest.raises(PreconditionFailed):
            await storage.set(put("a", b"2", precondition=MUST_NOT_EXIST))
        with pytest.raises(PreconditionFailed):
            await storage.set(put("a", b"2", precondition=Precondition(("other",))))
        with pytest.raises(PreconditionFailed):
            await storage.set(put("a", b"2", precondition=Precondition((first,), negated=True)))
        assert value_of(await storage.get(Get(SPACE, "a"))) == (b"1", True)
        second = await storage.set(put("a", b"2", precondition=Precondition(("other", first))))
        assert value_of(await storage.get(Get(SPACE, "a"))) == (b"2", True)
        with pytest.raises(PreconditionFailed):
            await storage.delete(Delete(SPACE, "a", Precondition((first,))))
        with pytest.raises(PreconditionFailed):
            await storage.delete(Delete(SPACE, "a", MUST_NOT_EXIST))
        assert await storage.get(Get(SPACE, "a")) is not None
        await storage.delete(Delete(SPACE, "a", Precondition((second,))))
        assert await storage.get(Get(SPACE, "a")) is None

    async def test_a_precondition_sees_nothing_where_an_entry_has_expired(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.PRECONDITIONS)
        version = await storage.set(put("a", expires_at=clock() + 1))
        clock.move(1)
        with pytest.raises(PreconditionFailed):
            await storage.set(put("a", precondition=Precondition((version,))))
        with pytest.raises(PreconditionFailed):
            await storage.delete(Delete(SPACE, "a", MUST_EXIST))
        await storage.set(put("a", precondition=MUST_NOT_EXIST))

    async def test_a_precondition_may_name_the_expiry_as_a_whole_number(
        self, storage: Storage
    ) -> None:
        self._needs(Capability.PRECONDITIONS)
        at = 4_102_444_800
        version = await storage.set(put("a", expires_at=float(at)))
        with pytest.raises(PreconditionFailed):
            await storage.set(put("a", precondition=Precondition((version,), expires_at=at + 1)))
        with pytest.raises(PreconditionFailed):
            await storage.delete(Delete(SPACE, "a", Precondition((version,), expires_at=None)))
        kept = await storage.set(put("a", precondition=Precondition((version,), expires_at=at)))
        with pytest.raises(PreconditionFailed):
            await storage.set(put("a", precondition=Precondition((kept,), expires_at=at)))
        with pytest.raises(PreconditionFailed):
            await storage.delete(Delete(SPACE, "a", Precondition((kept,), expires_at=at)))
        await storage.delete(Delete(SPACE, "a", Precondition((kept,), expires_at=None)))

    async def test_no_entry_has_one_of_no_versions(self, storage: Storage) -> None:
        self._needs(Capability.PRECONDITIONS)
        await storage.set(put("a", b"1"))
        with pytest.raises(PreconditionFailed):
            await storage.set(put("a", b"2", precondition=Precondition(())))
        await storage.set(put("a", b"3", precondition=Precondition((), negated=True)))
        assert value_of(await storage.get(Get(SPACE, "a"))) == (b"3", True)

    async def test_only_one_of_many_creations_succeeds(self, storage: Storage) -> None:
        self._needs(Capability.PRECONDITIONS)
        tries: Sequence[str | BaseException] = await asyncio.gather(
            *(
                storage.set(put("a", str(i).encode(), precondition=MUST_NOT_EXIST))
                for i in range(20)
            ),
            return_exceptions=True,
        )
        won = [i for i, outcome in enumerate(tries) if isinstance(outcome, str)]
        assert len(won) == 1
        assert sum(isinstance(outcome, PreconditionFailed) for outcome in tries) == 19
        assert value_of(await storage.get(Get(SPACE, "a"))) == (str(won[0]).encode(), True)

    async def test_compare_and_set_loses_no_update(self, storage: Storage) -> None:
        self._needs(Capability.PRECONDITIONS)
        await storage.set(put("n", b"0"))

        async def add(times: int) -> None:
            while times:
                entry = await storage.get(Get(SPACE, "n"))
                assert entry is not None
                following = str(int(entry.value) + 1).encode()
                try:
                    await storage.set(
                        put("n", following, precondition=Precondition((entry.version,)))
                    )
                    times -= 1
                except PreconditionFailed:
                    pass

        await asyncio.gather(*(add(5) for _ in range(8)))
        assert value_of(await storage.get(Get(SPACE, "n"))) == (b"40", True)
