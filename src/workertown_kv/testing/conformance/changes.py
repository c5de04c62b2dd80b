"""Test the log of changes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from ...errors import CursorGone, InputError, KvError, StorageUnsupported
from ...operations import (
    MUST_NOT_EXIST,
    Batch,
    Change,
    Delete,
    DeletePrefix,
    Event,
    Get,
    Operation,
    ReadChanges,
)
from ...storage import Capability, Clock, Retention, Storage
from ..clock import MovedClock
from .case import SPACE, StorageCase, put
from .updates import add, take, touch

_Seen = tuple[str, str, str | None]


async def cursor_of_now(storage: Storage) -> str:
    """Return the cursor after which all changes are yet to come."""
    page = await storage.changes(ReadChanges(None))
    assert not page.changes
    return page.cursor


async def changes_since(storage: Storage, cursor: str, limit: int = 1000) -> Sequence[Change]:
    """Return all changes after a cursor, page by page."""
    changes: list[Change] = []
    while True:
        page = await storage.changes(ReadChanges(cursor, limit))
        changes += page.changes
        cursor = page.cursor
        if page.complete:
            return changes


def seen(changes: Sequence[Change], *, versions: bool = True) -> list[_Seen]:
    """Return the event, the key and the version of each change."""
    return [(change.event, change.key, change.version if versions else None) for change in changes]


class Changes(StorageCase):
    """Test that no change is missed, and that none comes twice."""

    log_entries = 20
    """How many changes `retention` keeps in the tests about changes that are no longer kept."""

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

    async def test_a_log_begins_with_the_cursor_of_now(self, storage: Storage) -> None:
        self._needs(Capability.CHANGES)
        await storage.set(put("before"))
        begin = await cursor_of_now(storage)
        assert not await changes_since(storage, begin)
        version = await storage.set(put("after"))
        assert seen(await changes_since(storage, begin)) == [(Event.SET, "after", version)]

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

    async def test_a_reader_resumes_after_each_page(self, storage: Storage) -> None:
        self._needs(Capability.CHANGES)
        begin = await cursor_of_now(storage)
        expected = [(Event.SET, f"k{i % 3}", await storage.set(put(f"k{i % 3}"))) for i in range(9)]
        assert _by_key(await changes_since(storage, begin, limit=2)) == _by_key(expected)
        page = await storage.changes(ReadChanges(begin, 4))
        assert not page.complete
        rest = seen(await changes_since(storage, page.cursor, limit=3))
        assert _by_key([*seen(page.changes), *rest]) == _by_key(expected)
        # A page that is read again is the same, though the text of its cursor may differ.
        again = await storage.changes(ReadChanges(begin, 4))
        assert (list(again.changes), again.complete) == (list(page.changes), page.complete)
        assert seen(await changes_since(storage, again.cursor, limit=3)) == rest
        for index, cursor in enumerate(page.cursors, 1):
            later = [*seen(page.changes[index:]), *rest]
            assert _by_key(await changes_since(storage, cursor)) == _by_key(later)

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
        await storage.set(put("a"))
        assert seen(await changes_since(storage, cursor))[2:] == [
            (Event.SET, "a", (await _version(storage, "a")))
        ]

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
        changes = _by_key(await changes_since(storage, begin))
        events = {key: [event for event, _, _ in of_key] for key, of_key in changes.items()}
        assert events == {"a": [Event.SET, Event.SET], "b": [Event.SET, Event.DELETE]}

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

    async def test_the_changes_of_a_key_come_in_order_whoever_writes(
        self, storage: Storage, clock: MovedClock, tmp_path: Path
    ) -> None:
        self._needs(Capability.CHANGES)
        other = self.make(clock, tmp_path) if self.durable else storage
        if other is not storage:
            await other.open()
        begin = await cursor_of_now(storage)
        keys = ["x", "y"]

        async def write(to: Storage) -> list[str]:
            return [await to.set(put(keys[i % 2])) for i in range(20)]

        async def follow() -> list[Change]:
            changes: list[Change] = []
            cursor = begin
            while len(changes) < len(writers) * 20:
                page = await storage.changes(ReadChanges(cursor, 7, wait=60))
                assert page.changes, "no page has the changes that are left"
                changes += page.changes
                cursor = page.cursor
            return changes

        writers = [storage, other, storage, other, storage, other]
        following = asyncio.ensure_future(follow())
        written = await asyncio.gather(*(write(to) for to in writers))
        changes = await following
        each = [one.version for one in changes]
        assert len(each) == len({*each})
        assert {*each} == {version for versions in written for version in versions}
        for key in keys:
            of_key = [one.version for one in changes if one.key == key]
            assert of_key[-1] == await _version(storage, key)
            for versions in written:
                own = [version for version in of_key if version in versions]
                assert own == [version for version in versions if version in of_key]
        if other is not storage:
            await other.close()

    async def test_changes_survive_reopening(
        self, storage: Storage, clock: MovedClock, tmp_path: Path
    ) -> None:
        self._needs(Capability.CHANGES)
        if not self.durable:
            pytest.skip("keeps nothing")
        begin = await cursor_of_now(storage)
        version = await storage.set(put("a", expires_at=clock() + 5))
        await storage.close()
        again = self.make(clock, tmp_path)
        await again.open()
        clock.move(5)
        last = await again.set(put("b"))
        changes = sorted(seen(await changes_since(again, begin)))
        assert changes == sorted(
            [
                (Event.SET, "a", version),
                (Event.EXPIRE, "a", version),
                (Event.SET, "b", last),
            ]
        )
        await again.close()

    async def test_a_wait_ends_with_the_next_change(self, storage: Storage) -> None:
        self._needs(Capability.CHANGES)
        begin = await cursor_of_now(storage)
        waiting = asyncio.ensure_future(storage.changes(ReadChanges(begin, wait=60)))
        await asyncio.sleep(0)
        version = await storage.set(put("a"))
        page = await asyncio.wait_for(waiting, 30)
        assert seen(page.changes) == [(Event.SET, "a", version)]

    async def test_a_wait_ends_without_a_change(self, storage: Storage) -> None:
        self._needs(Capability.CHANGES)
        begin = await cursor_of_now(storage)
        page = await storage.changes(ReadChanges(begin, wait=0.01))
        assert not page.changes
        assert page.complete
        version = await storage.set(put("a"))
        assert seen(await changes_since(storage, page.cursor)) == [(Event.SET, "a", version)]

    async def test_a_cursor_of_another_log_is_refused(self, storage: Storage) -> None:
        self._needs(Capability.CHANGES)
        for cursor in ("", "x", "1.x", "-1", "\0", "9" * 100):
            with pytest.raises((InputError, CursorGone)):
                await storage.changes(ReadChanges(cursor))

    async def test_a_cursor_is_gone_once_later_changes_are_not_kept(
        self, clock: MovedClock, tmp_path: Path
    ) -> None:
        self._needs(Capability.CHANGES)
        storage = await self._keeping(Retention(3600, self.log_entries), clock, tmp_path)
        begin = await cursor_of_now(storage)

        async def write_and_read() -> None:
            for _ in range(100):
                await storage.batch(Batch([put(f"k{i}") for i in range(100)]))
                await storage.sweep(1000)
                await storage.changes(ReadChanges(begin))

        with pytest.raises(CursorGone):
            await write_and_read()
        before = await cursor_of_now(storage)
        version = await storage.set(put("last"))
        assert seen(await changes_since(storage, before)) == [(Event.SET, "last", version)]
        await storage.close()

    async def test_a_cursor_is_gone_once_later_changes_are_too_old(
        self, clock: MovedClock, tmp_path: Path
    ) -> None:
        self._needs(Capability.CHANGES)
        storage = await self._keeping(Retention(100, 100_000), clock, tmp_path)
        begin = await cursor_of_now(storage)
        await storage.set(put("a"))
        clock.move(90)
        await storage.sweep(10)
        assert len(await changes_since(storage, begin)) == 1
        for _ in range(3):
            clock.move(200)
            await storage.sweep(10)
            await storage.set(put("a"))
        with pytest.raises(CursorGone):
            await storage.changes(ReadChanges(begin))
        await storage.close()

    async def test_an_idle_reader_keeps_its_cursor(self, clock: MovedClock, tmp_path: Path) -> None:
        self._needs(Capability.CHANGES)
        storage = await self._keeping(Retention(100, 100_000), clock, tmp_path)
        await storage.set(put("a"))
        begin = await cursor_of_now(storage)
        for _ in range(3):
            clock.move(1000)
            await storage.sweep(10)
        # There was no change that could have been missed.
        version = await storage.set(put("a"))
        assert seen(await changes_since(storage, begin)) == [(Event.SET, "a", version)]
        await storage.close()

    async def test_nothing_is_recorded_if_it_is_turned_off(
        self, clock: MovedClock, tmp_path: Path
    ) -> None:
        self._needs(Capability.CHANGES)
        storage = await self._keeping(Retention(), clock, tmp_path)
        begin = await cursor_of_now(storage)
        await storage.set(put("a"))
        await storage.close()
        off = await self._keeping(None, clock, tmp_path)
        await off.set(put("a"))
        with pytest.raises(StorageUnsupported):
            await off.changes(ReadChanges(begin))
        await off.close()
        again = await self._keeping(Retention(), clock, tmp_path)
        # A change is missing, so that no reader may resume.
        with pytest.raises(CursorGone):
            await again.changes(ReadChanges(begin))
        cursor = await cursor_of_now(again)
        version = await again.set(put("b"))
        assert seen(await changes_since(again, cursor)) == [(Event.SET, "b", version)]
        await again.close()

    async def _keeping(self, retention: Retention | None, clock: Clock, folder: Path) -> Storage:
        storage = self.make(clock, folder)
        storage.retention = retention
        await storage.open()
        return storage


async def _version(storage: Storage, key: str) -> str:
    entry = await storage.get(Get(SPACE, key))
    assert entry is not None
    return entry.version


def _by_key(changes: Sequence[Change] | Sequence[_Seen]) -> dict[str, list[_Seen]]:
    """Group changes by their keys, since only the order of the changes of a key is promised."""
    found: dict[str, list[_Seen]] = {}
    for one in changes:
        (event, key, version) = (
            (one.event, one.key, one.version) if isinstance(one, Change) else one
        )
        found.setdefault(key, []).append((event, key, version))
    return found
