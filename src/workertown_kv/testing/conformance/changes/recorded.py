"""Test which operations are changes."""

import pytest

from ....errors import KvError
from ....operations import MUST_NOT_EXIST, Batch, Change, Delete, DeletePrefix, Event, Operation
from ....storage import Capability, Storage
from ...clock import MovedClock
from ..case import StorageCase
from ..operations import SPACE, add, put, take, touch
from .log import changes_since, cursor_of_now, seen


class RecordedChanges(StorageCase):
    async def test_each_write_is_a_change(self, storage: Storage, clock: MovedClock) -> None:
        self._needs(Capability.CHANGES)
        begin = await cursor_of_now(storage)
        first = await storage.set(put("a", expires_at=clock() + 5.5, metadata=b'{"b":1}'))
        second = await storage.set(put("a", b"2"))
        await storage.delete(Delete(SPACE, "a"))
        changes = await changes_since(storage, begin)
        assert changes == [
            Change(
                event=Event.SET,
                namespace=SPACE,
                key="a",
                version=first,
                expires_at=clock() + 5.5,
                metadata=b'{"b":1}',
            ),
            Change(event=Event.SET, namespace=SPACE, key="a", version=second),
            Change(event=Event.DELETE, namespace=SPACE, key="a", version=changes[-1].version),
        ]
        assert changes[-1].version in (second, None)

    async def test_each_act_is_a_change(self, storage: Storage, clock: MovedClock) -> None:
        self._needs(Capability.CHANGES)
        self._needs(Capability.TOUCH)
        begin = await cursor_of_now(storage)
        first = await storage.set(put("n", b"1", metadata=b'{"b":1}'))
        await storage.touch(touch("n", clock() + 60))
        await storage.touch(touch("missing", clock() + 60))
        await storage.update(add("n"))
        await storage.update(take("n"))
        changes = await changes_since(storage, begin)
        assert [change.event for change in changes] == [
            Event.SET,
            Event.TOUCH,
            Event.SET,
            Event.DELETE,
        ]
        assert changes[1] == Change(
            event=Event.TOUCH,
            namespace=SPACE,
            key="n",
            version=first,
            expires_at=clock() + 60,
            metadata=b'{"b":1}',
        )
        assert changes[2].version != first

    async def test_a_deletion_by_prefix_is_a_change_of_each_key(self, storage: Storage) -> None:
        self._needs(Capability.CHANGES)
        self._needs(Capability.LISTING)
        for key in ("a/1", "a/2", "b/1"):
            await storage.set(put(key))
        begin = await cursor_of_now(storage)
        await storage.delete_prefix(DeletePrefix(SPACE, "a/", 100))
        changes = await changes_since(storage, begin)
        # An engine may record the prefix instead.
        assert sorted(seen(changes, versions=False)) in (
            [(Event.DELETE, "a/1", None), (Event.DELETE, "a/2", None)],
            [(Event.DELETE_PREFIX, "a/", None)],
        )

    async def test_a_delete_of_nothing_is_no_change(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.CHANGES)
        await storage.set(put("expired", expires_at=clock() + 1))
        clock.move(1)
        begin = await cursor_of_now(storage)
        await storage.delete(Delete(SPACE, "never set"))
        await storage.delete(Delete(SPACE, "expired"))
        assert not await changes_since(storage, begin)

    async def test_a_write_that_failed_is_no_change(self, storage: Storage) -> None:
        self._needs(Capability.CHANGES)
        self._needs(Capability.PRECONDITIONS)
        await storage.set(put("a"))
        begin = await cursor_of_now(storage)
        a, b = map(self.together, "ab")
        batch: list[Operation] = [put(b), put(a), put(a, precondition=MUST_NOT_EXIST)]
        with pytest.raises(KvError):
            await storage.set(put("a", precondition=MUST_NOT_EXIST))
        with pytest.raises(KvError):
            await storage.delete(Delete(SPACE, "a", MUST_NOT_EXIST))
        if Capability.ATOMIC_BATCHES not in self.lacks:
            with pytest.raises(KvError):
                await storage.batch(Batch(batch, atomic=True))
        assert not await changes_since(storage, begin)
        last = await storage.set(put("a"))
        assert seen(await changes_since(storage, begin)) == [(Event.SET, "a", last)]

    async def test_the_writes_of_a_batch_are_changes_in_order(self, storage: Storage) -> None:
        self._needs(Capability.CHANGES)
        begin = await cursor_of_now(storage)
        a, b = map(self.together, "ab")
        atomic = Capability.ATOMIC_BATCHES not in self.lacks
        operations: list[Operation] = [put(a), put(b), put(a, b"2"), Delete(SPACE, b), put(b)]
        results = await storage.batch(Batch(operations, atomic=atomic))
        changes = await changes_since(storage, begin)
        for key, versions in ((a, [results[0], results[2]]), (b, [results[1], results[4]])):
            sets = [one.version for one in changes if (one.key, one.event) == (key, Event.SET)]
            assert sets == versions
        assert [one.event for one in changes if one.key == b][-1] is Event.SET

    async def test_changes_are_of_all_namespaces(self, storage: Storage) -> None:
        self._needs(Capability.CHANGES)
        self._needs(Capability.NAMESPACES)
        one, two = [await self.space(storage, name) for name in ("one", "two")]
        begin = await cursor_of_now(storage)
        for namespace in (one, two):
            await storage.set(put("a", namespace=namespace))
        await storage.delete(Delete(one, "a"))
        assert sorted(
            (change.namespace, change.event) for change in await changes_since(storage, begin)
        ) == sorted([(one, Event.DELETE), (one, Event.SET), (two, Event.SET)])

    async def test_odd_keys_come_back_whole(self, storage: Storage) -> None:
        self._needs(Capability.CHANGES)
        begin = await cursor_of_now(storage)
        keys = ["\0", "a\nb", "é\U0001f600", "..", "a|b:c,d", "k" * min(self.key_bytes, 500)]
        for key in keys:
            await storage.set(put(key))
        assert sorted(one.key for one in await changes_since(storage, begin)) == sorted(keys)
