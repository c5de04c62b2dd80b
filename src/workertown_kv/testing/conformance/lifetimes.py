"""Expiry."""

from ...operations import Batch, Get
from ...storage import Storage
from ..clock import MovedClock
from .case import SPACE, StorageCase, put


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

    async def test_sweeping_removes_nothing_that_is_alive(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        for i in range(30):
            await storage.set(put(f"dead{i}", expires_at=clock() + 1))
            await storage.set(put(f"later{i}", expires_at=clock() + 100))
            await storage.set(put(f"always{i}"))
        clock.move(2)
        while await storage.sweep(7):
            pass
        for i in range(30):
            assert await storage.get(Get(SPACE, f"dead{i}")) is None
            assert await storage.get(Get(SPACE, f"later{i}")) is not None
            assert await storage.get(Get(SPACE, f"always{i}")) is not None
