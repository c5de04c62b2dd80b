"""Test readers, which continue from the cursors of pages."""

import asyncio
from pathlib import Path

import pytest

from ....errors import CursorGone, InputError
from ....operations import Change, Event, Get, ReadChanges
from ....storage import Capability, Storage
from ...clock import MovedClock
from ..case import StorageCase
from ..operations import SPACE, put
from .log import by_key, changes_since, cursor_of_now, seen


class Following(StorageCase):
    async def test_a_log_begins_with_the_cursor_of_now(self, storage: Storage) -> None:
        self._needs(Capability.CHANGES)
        await storage.set(put("before"))
        begin = await cursor_of_now(storage)
        assert not await changes_since(storage, begin)
        version = await storage.set(put("after"))
        assert seen(await changes_since(storage, begin)) == [(Event.SET, "after", version)]

    async def test_a_reader_resumes_after_each_page(self, storage: Storage) -> None:
        self._needs(Capability.CHANGES)
        begin = await cursor_of_now(storage)
        expected = [(Event.SET, f"k{i % 3}", await storage.set(put(f"k{i % 3}"))) for i in range(9)]
        assert by_key(await changes_since(storage, begin, limit=2)) == by_key(expected)
        page = await storage.changes(ReadChanges(begin, 4))
        assert not page.complete
        rest = seen(await changes_since(storage, page.cursor, limit=3))
        assert by_key([*seen(page.changes), *rest]) == by_key(expected)
        # A page that is read again is the same, though the text of its cursor may differ.
        again = await storage.changes(ReadChanges(begin, 4))
        assert (list(again.changes), again.complete) == (list(page.changes), page.complete)
        assert seen(await changes_since(storage, again.cursor, limit=3)) == rest
        for index, cursor in enumerate(page.cursors, 1):
            later = [*seen(page.changes[index:]), *rest]
            assert by_key(await changes_since(storage, cursor)) == by_key(later)

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
            entry = await storage.get(Get(SPACE, key))
            assert entry is not None
            assert of_key[-1] == entry.version
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
