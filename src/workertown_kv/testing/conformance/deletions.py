"""Test deleting all entries with a prefix."""

import asyncio
from collections.abc import Sequence

import pytest

from ...errors import InputError
from ...operations import Change, DeletePrefix, Event, Get, List
from ...storage import Capability, Storage
from ..clock import MovedClock
from ..listings import all_pages
from ..strategies import ODD_KEYS
from .case import StorageCase, put_all
from .changes.log import changes_since, cursor_of_now
from .operations import SPACE, put


class Deletions(StorageCase):
    async def test_exactly_the_entries_with_a_prefix_are_deleted(self, storage: Storage) -> None:
        self._needs(Capability.LISTING)
        left: list[str] = []
        prefixes = ("", "a", "a/", "%", "\0", "\ud7ff", "\U0010ffff", "z")
        for prefix, limit in (*((prefix, 2) for prefix in prefixes), ("a/", 1000), ("", 1000)):
            keys = {*left, *ODD_KEYS, *(prefix + key for key in ODD_KEYS)}
            await put_all(storage, keys.difference(left))
            left = sorted((key for key in keys if not key.startswith(prefix)), key=str.encode)
            counts = await delete_all(storage, prefix, limit)
            assert sum(counts) == len(keys) - len(left)
            assert all(count <= limit for count in counts)
            assert (await all_pages(storage, List(SPACE, "", 1000)))[0] == left

    async def test_entries_that_have_expired_are_not_counted(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.LISTING)
        for i in range(9):
            await storage.set(put(f"a/{i}", expires_at=clock() + 1 if i % 2 else clock() + 9))
        clock.move(1)
        assert sum(await delete_all(storage, "a/", 2)) == 5
        assert await delete_all(storage, "a/", 2) == [0]

    async def test_other_namespaces_keep_their_entries(self, storage: Storage) -> None:
        self._needs(Capability.LISTING)
        self._needs(Capability.NAMESPACES)
        other = await self.space(storage, "other")
        await storage.set(put("a", namespace=other))
        await storage.set(put("a"))
        assert await delete_all(storage, "", 10) == [1]
        assert await storage.get(Get(other, "a")) is not None

    async def test_a_deleted_entry_can_be_written_again(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.LISTING)
        for _ in range(2):
            await storage.set(put("a/b", expires_at=clock() + 5))
            await storage.set(put("a/c", b"\xff", is_json=False))
            assert await delete_all(storage, "a/", 1) == [1, 1]
        version = await storage.set(put("a/b"))
        clock.move(100)
        await storage.sweep(10)
        entry = await storage.get(Get(SPACE, "a/b"))
        assert entry is not None
        assert entry.version == version

    async def test_a_deletion_ends_and_takes_all_that_was_there_while_others_write(
        self, storage: Storage
    ) -> None:
        self._needs(Capability.LISTING)
        there = [f"a/{i:03}" for i in range(60)]
        await put_all(storage, there)

        async def write() -> None:
            for i in range(60):
                await storage.set(put(f"a/{i:03}x"))
                await storage.set(put(f"b/{i:03}"))

        writing = asyncio.ensure_future(write())
        await delete_all(storage, "a/", 7)
        await writing
        left = (await all_pages(storage, List(SPACE, "", 1000)))[0]
        assert not set(there) & set(left)
        assert len([key for key in left if key.startswith("b/")]) == 60

    async def test_readers_of_changes_learn_which_keys_are_gone(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.LISTING)
        self._needs(Capability.CHANGES)
        there = {f"{folder}/{i}" for folder in "ab" for i in range(7)}
        await put_all(storage, there)
        await storage.set(put("a/expired", expires_at=clock() + 1))
        clock.move(1)
        begin = await cursor_of_now(storage)
        deletion = await storage.delete_prefix(DeletePrefix(SPACE, "a/", 3))
        await storage.set(put("a/0"))
        await storage.set(put("a/z"))
        left = [info.key for info in (await storage.list(List(SPACE, "", 1000))).keys]
        assert _known(there, await changes_since(storage, begin)) == set(left)
        while deletion.cursor is not None:
            operation = DeletePrefix(SPACE, "a/", 3, deletion.cursor)
            deletion = await storage.delete_prefix(operation)
        left = [info.key for info in (await storage.list(List(SPACE, "", 1000))).keys]
        assert _known(there, await changes_since(storage, begin)) == set(left)
        assert "b/0" in left

    async def test_a_cursor_of_another_prefix_is_refused(self, storage: Storage) -> None:
        self._needs(Capability.LISTING)
        for key in ("a1", "a2", "b1", "b2"):
            await storage.set(put(key))
        cursor = (await storage.delete_prefix(DeletePrefix(SPACE, "a", 1))).cursor
        assert cursor is not None
        with pytest.raises(InputError):
            await storage.delete_prefix(DeletePrefix(SPACE, "b", 1, cursor))
        assert len((await storage.list(List(SPACE, "b", 10))).keys) == 2


def _known(keys: set[str], changes: Sequence[Change]) -> set[str]:
    """Return the keys that a reader knows who knew these keys before the changes."""
    known = set(keys)
    for change in changes:
        match change.event:
            case Event.SET:
                known.add(change.key)
            case Event.DELETE:
                known.remove(change.key)
            case Event.DELETE_PREFIX:
                known = {key for key in known if not key.startswith(change.key)}
    return known


async def delete_all(storage: Storage, prefix: str, limit: int) -> list[int]:
    """Delete all entries with a prefix, and return how many entries each call deleted."""
    counts: list[int] = []
    cursor: str | None = None
    while True:
        deletion = await storage.delete_prefix(DeletePrefix(SPACE, prefix, limit, cursor))
        counts.append(deletion.deleted)
        cursor = deletion.cursor
        if cursor is None:
            return counts if counts[-1] or len(counts) == 1 else counts[:-1]
