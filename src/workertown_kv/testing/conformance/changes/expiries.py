"""Test the expiries in the log of changes."""

from ....operations import Delete, Event, ReadChanges
from ....storage import Capability, Storage
from ...clock import MovedClock
from ..case import StorageCase
from ..operations import SPACE, put
from .log import by_key, changes_since, cursor_of_now, seen


class Expiries(StorageCase):
    async def test_an_expiry_is_a_change_once(self, storage: Storage, clock: MovedClock) -> None:
        self._needs(Capability.CHANGES)
        begin = await cursor_of_now(storage)
        versions = [await storage.set(put(key, expires_at=clock() + 5)) for key in "ab"]
        await storage.set(put("later", expires_at=clock() + 500))
        clock.move(4)
        assert len(await changes_since(storage, begin)) == 3
        clock.move(2)
        cursor = (await storage.changes(ReadChanges(begin, 3))).cursor
        expired = await changes_since(storage, cursor)
        assert sorted(seen(expired)) == [
            (Event.EXPIRE, key, version) for key, version in zip("ab", versions, strict=True)
        ]
        clock.move(100)
        await storage.sweep(10)
        version = await storage.set(put("a"))
        assert seen(await changes_since(storage, cursor))[2:] == [(Event.SET, "a", version)]

    async def test_an_entry_expires_before_it_is_written_again(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.CHANGES)
        begin = await cursor_of_now(storage)
        first = await storage.set(put("a", expires_at=clock() + 1))
        clock.move(1)
        second = await storage.set(put("a"))
        assert seen(await changes_since(storage, begin)) == [
            (Event.SET, "a", first),
            (Event.EXPIRE, "a", first),
            (Event.SET, "a", second),
        ]

    async def test_a_sweep_removes_no_entry_before_its_expiry_is_recorded(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.CHANGES)
        begin = await cursor_of_now(storage)
        version = await storage.set(put("a", expires_at=clock() + 1))
        clock.move(1000)
        while await storage.sweep(10):
            pass
        assert seen(await changes_since(storage, begin)) == [
            (Event.SET, "a", version),
            (Event.EXPIRE, "a", version),
        ]

    async def test_a_lifetime_that_is_replaced_does_not_expire(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.CHANGES)
        begin = await cursor_of_now(storage)
        await storage.set(put("a", expires_at=clock() + 1))
        await storage.set(put("b", expires_at=clock() + 1))
        await storage.set(put("a", expires_at=clock() + 500))
        await storage.delete(Delete(SPACE, "b"))
        clock.move(2)
        changes = by_key(await changes_since(storage, begin))
        events = {key: [event for event, _, _ in of_key] for key, of_key in changes.items()}
        assert events == {"a": [Event.SET, Event.SET], "b": [Event.SET, Event.DELETE]}
