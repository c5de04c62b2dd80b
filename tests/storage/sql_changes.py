"""Test changes on database servers, where transactions finish in any order."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import ClassVar

import pytest

from storage.sql_case import SqlCase, put
from storage.sql_conformance import SharedSql
from workertown_kv.entry import Entry
from workertown_kv.errors import CursorGone, StorageUnavailable, StorageUnsupported
from workertown_kv.operations import Batch, Change, Event, Get, ReadChanges
from workertown_kv.storage import Retention
from workertown_kv.storage.sql.storage import SqlStorage
from workertown_kv.testing import MovedClock
from workertown_kv.testing.conformance.changes.log import changes_since, cursor_of_now, seen

_WRITER = """
import asyncio, sys
from workertown_kv.operations import Set
from workertown_kv.storage.url import storage_from_url

async def write(storage, key):
    while True:
        await storage.set(Set(namespace="default", key=key, value=b"1"))

async def main():
    storage = storage_from_url(sys.argv[1])
    await storage.open()
    print("open", flush=True)
    await asyncio.gather(*(write(storage, f"k{i % 5}") for i in range(20)))

asyncio.run(main())
"""


@asynccontextmanager
async def _written_by_another_process(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _WRITER, url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert writer.stdout is not None
    await writer.stdout.readline()
    try:
        yield writer
    finally:
        with suppress(ProcessLookupError):
            writer.kill()
        await writer.wait()


def keys_of(changes: Sequence[Change]) -> list[str]:
    return [one.key for one in changes]


class SqlChanges(SharedSql, SqlCase):
    """Tests that no change is missed, even if several servers write and commits overlap."""

    triggers: ClassVar[Sequence[str]]
    """Statements that remove a trigger, where `{table}` is the table."""

    @pytest.fixture
    def storage(self, shared: SqlStorage) -> SqlStorage:
        """Return the storage of the class, which works as one that is new."""
        return shared

    @asynccontextmanager
    async def unfinished(self, storage: SqlStorage, *keys: str) -> AsyncIterator[list[str]]:
        """Write keys in a transaction that lasts as long as the block.

        It writes the keys that the block appends before it commits.
        """
        later: list[str] = []
        async with storage._database.opened().session() as session, session.transaction():

            async def write(some: Sequence[str]) -> None:
                for key in some:
                    entry = Entry(key=key, value=b"2", version=f"{key} of a transaction")
                    await session.execute(storage._statements.put([(("default", key), entry)]))

            await write(keys)
            yield later
            await write(later)

    async def test_expiries_are_recorded_after_the_clock_was_set_back(
        self, storage: SqlStorage, clock: MovedClock
    ) -> None:
        cursor = await cursor_of_now(storage)
        clock.move(-5)
        try:
            version = await storage.set(put("a", expires_at=clock() + 1))
            clock.move(1)
            assert seen(await changes_since(storage, cursor)) == [
                (Event.SET, "a", version),
                (Event.EXPIRE, "a", version),
            ]
        finally:
            clock.move(4)

    async def test_commits_in_another_order_than_their_numbers_skip_nothing(
        self, storage: SqlStorage
    ) -> None:
        begin = await cursor_of_now(storage)
        async with self.unfinished(storage, "a"):
            async with self.unfinished(storage, "b"):
                await storage.set(put("c"))
                first = await storage.changes(ReadChanges(begin))
                now = await cursor_of_now(storage)
                assert keys_of(first.changes) == ["c"]
            second = await storage.changes(ReadChanges(first.cursor))
            assert keys_of(second.changes) == ["b"]
            assert keys_of(await changes_since(storage, now)) == ["b"]
        assert keys_of(await changes_since(storage, second.cursor)) == ["a"]
        assert keys_of(await changes_since(storage, first.cursor)) == ["a", "b"]
        assert keys_of(await changes_since(storage, begin)) == ["a", "b", "c"]
        assert keys_of(await changes_since(storage, now)) == ["a", "b"]

    async def test_a_transaction_that_began_earlier_may_change_a_key_later(
        self, storage: SqlStorage
    ) -> None:
        begin = await cursor_of_now(storage)
        async with self.unfinished(storage, "a") as later:
            version = await storage.set(put("key"))
            first = await storage.changes(ReadChanges(begin))
            later += ["key", "b", "c"]
        expected = [
            (Event.SET, "a", "a of a transaction"),
            (Event.SET, "key", version),
            *((Event.SET, key, f"{key} of a transaction") for key in ("key", "b", "c")),
        ]
        assert seen(await changes_since(storage, begin)) == expected
        assert seen(first.changes) == expected[1:2]
        rest = [expected[0], *expected[2:]]
        assert seen(await changes_since(storage, first.cursor)) == rest
        one_by_one = await changes_since(storage, begin, limit=1)
        assert seen(one_by_one) == expected
        for start, changes in ((begin, expected), (first.cursor, rest)):
            page = await storage.changes(ReadChanges(start))
            assert len(page.cursors) == len(changes)
            for index, cursor in enumerate(page.cursors, 1):
                assert seen(await changes_since(storage, cursor)) == changes[index:]

    async def test_a_transaction_may_last_long_or_be_undone(
        self, storage: SqlStorage, clock: MovedClock
    ) -> None:
        cursor = await cursor_of_now(storage)
        for _ in range(20):
            await storage.set(put("done"))
            with suppress(StorageUnavailable):
                async with self.unfinished(storage, "undone"):
                    raise StorageUnavailable("undone")
        page = await storage.changes(ReadChanges(cursor))
        assert {*keys_of(page.changes)} == {"done"}
        cursor = page.cursor
        async with self.unfinished(storage, "a"):
            await storage.set(put("b"))
            for _ in range(3):
                clock.move(100)
                page = await storage.changes(ReadChanges(cursor))
                cursor = page.cursor
        assert keys_of(await changes_since(storage, cursor)) == ["a"]
        clock.move(100)
        page = await storage.changes(ReadChanges(cursor))
        # What is known of the transactions that were undone does not grow.
        assert len(page.cursor) < 150

    async def test_a_change_that_is_not_committed_outlasts_the_others(
        self, clock: MovedClock
    ) -> None:
        storage = await self.opened(clock)
        storage.retention = Retention(100, 5)
        begin = await cursor_of_now(storage)
        async with self.unfinished(storage, "late"):
            for number in range(20):
                await storage.set(put(str(number)))
                clock.move(100)
                await storage.sweep(10)
            cursor = await cursor_of_now(storage)
        assert keys_of(await changes_since(storage, cursor)) == ["late"]
        await storage.set(put("last"))
        clock.move(1000)
        await storage.set(put("now"))
        await storage.sweep(10)
        with pytest.raises(CursorGone):
            await storage.changes(ReadChanges(begin))
        rows = self.server.sql(f"SELECT count(*) FROM {self.table}_change")
        assert rows == "1"

    @pytest.mark.deep
    async def test_of_several_readers_one_records_an_expiry(self, clock: MovedClock) -> None:
        storages = [await self.opened(clock) for _ in range(4)]
        begin = await cursor_of_now(storages[0])
        await storages[0].batch(Batch([put(str(i), expires_at=clock() + 1) for i in range(50)]))
        clock.move(2)
        await asyncio.gather(
            *(one.changes(ReadChanges(None)) for one in storages),
            *(one.set(put(str(number))) for number, one in enumerate(storages)),
        )
        changes = await changes_since(storages[0], begin)
        assert len(changes) == 104
        expired = [one.key for one in changes if one.event is Event.EXPIRE]
        assert sorted(expired) == sorted(str(number) for number in range(50))
        for key in "0123":
            assert [one.event for one in changes if one.key == key] == [
                *(Event.SET, Event.EXPIRE, Event.SET)
            ]

    async def test_an_expiry_is_recorded_later_for_a_row_that_others_write(
        self, storage: SqlStorage, clock: MovedClock
    ) -> None:
        await storage.set(put("a", expires_at=clock() + 1))
        await storage.set(put("b", expires_at=clock() + 1))
        begin = await cursor_of_now(storage)
        async with self.unfinished(storage, "a"):
            clock.move(2)
            assert seen(await changes_since(storage, begin)) == [
                (Event.EXPIRE, "b", (await changes_since(storage, begin))[0].version)
            ]
        clock.move(1)
        # It was written before it expired.
        assert [one.event for one in await changes_since(storage, begin)] == [
            *(Event.SET, Event.EXPIRE)
        ]

    async def test_an_entry_of_a_server_whose_clock_is_behind_is_set_and_expires(
        self, storage: SqlStorage, clock: MovedClock
    ) -> None:
        begin = await cursor_of_now(storage)
        await storage.set(put("a", expires_at=clock() - 1))
        assert [one.event for one in await changes_since(storage, begin)] == [
            *(Event.SET, Event.EXPIRE)
        ]

    async def test_the_writes_of_other_programs_are_changes(self) -> None:
        # A server of the version before also writes so, as long as it runs.
        storage = await self.opened()
        begin = await cursor_of_now(storage)
        row = "(namespace, key, version, value) VALUES ('default', 'a', '1', '1')"
        self.server.sql(
            f"INSERT INTO {self.table} {row.replace('key', self.key)};"
            f"UPDATE {self.table} SET expires_at = 4e9;"
            f"UPDATE {self.table} SET version = '2';"
            f"DELETE FROM {self.table}"
        )
        assert seen(await changes_since(storage, begin)) == [
            (Event.SET, "a", "1"),
            (Event.TOUCH, "a", "1"),
            (Event.SET, "a", "2"),
            (Event.DELETE, "a", "2"),
        ]

    key: ClassVar[str] = "key"

    async def test_triggers_that_are_missing_are_noticed_and_made_again(self) -> None:
        storage = await self.opened()
        begin = await cursor_of_now(storage)
        for text in self.triggers:
            self.server.sql(text.format(table=self.table))
        other = await self.opened()
        with pytest.raises(StorageUnsupported, match="workertown-kv migrate"):
            await other.changes(ReadChanges(None))
        assert list(await other.migrate()) == []
        # Writes were not recorded in between.
        with pytest.raises(CursorGone):
            await storage.changes(ReadChanges(begin))
        cursor = await cursor_of_now(other)
        await storage.set(put("a"))
        assert keys_of(await changes_since(other, cursor)) == ["a"]

    async def test_servers_that_start_at_once_begin_one_log(self) -> None:
        storages = [self.at() for _ in range(4)]

        async def opened_and_read(storage: SqlStorage) -> str:
            await storage.open()
            return await cursor_of_now(storage)

        cursors = await asyncio.gather(*map(opened_and_read, storages))
        await storages[0].set(put("a"))
        for cursor in cursors:
            assert keys_of(await changes_since(storages[1], cursor)) == ["a"]

    async def test_a_server_that_records_nothing_ends_the_log_of_others(self) -> None:
        storage = await self.opened()
        begin = await cursor_of_now(storage)
        off = self.at()
        off.retention = None
        await off.open()
        await off.set(put("a"))
        with pytest.raises(CursorGone):
            await storage.changes(ReadChanges(begin))
        with pytest.raises(StorageUnsupported, match="changes = False"):
            await storage.changes(ReadChanges(None))
        assert self.server.sql(f"SELECT count(*) FROM {self.table}_change") == "0"

    @pytest.mark.deep
    async def test_a_killed_process_and_a_killed_server_leave_no_gap(self) -> None:
        storage = await self.opened(timeout=60)
        begin = await cursor_of_now(storage)
        url = f"{self.server.url}?table={self.table}"
        changes: list[Change] = []
        cursor = begin

        async def read(count: int) -> None:
            nonlocal cursor
            wanted = len(changes) + count
            while len(changes) < wanted:
                with suppress(StorageUnavailable):
                    page = await storage.changes(ReadChanges(cursor, 50, wait=1))
                    changes.extend(page.changes)
                    cursor = page.cursor

        for server_dies in (False, True, False, True):
            async with _written_by_another_process(url) as writer:
                await read(100)
                if server_dies:
                    await asyncio.to_thread(self.server.kill)
                    self.server.start()
                writer.kill()
        await storage.set(put("end"))
        while not changes or changes[-1].key != "end":
            await read(1)
        versions = [one.version for one in changes]
        assert len(versions) == len({*versions})
        assert {one.event for one in changes} == {Event.SET}
        last = {one.key: one.version for one in changes}
        for key, version in last.items():
            entry = await storage.get(Get("default", key))
            assert entry is not None
            assert entry.version == version
        whole = await changes_since(storage, begin)
        assert sorted(map(str, versions)) == sorted(str(one.version) for one in whole)
