"""The log of changes in an SQLite file: its layout, other programs, and its limits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from workertown_kv.errors import CursorGone, StorageUnsupported
from workertown_kv.operations import Batch, Delete, DeletePrefix, Deletion, Event, ReadChanges, Set
from workertown_kv.storage import Retention
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.storage.sqlite.change_log import MOST_EXPIRED
from workertown_kv.testing.clock import MovedClock
from workertown_kv.testing.conformance.changes.log import changes_since, cursor_of_now, seen
from workertown_kv.testing.conformance.operations import put

pytestmark = pytest.mark.anyio

_INSERT = "INSERT INTO entry (namespace, key, version, expires_at, value) VALUES (?, ?, ?, ?, ?)"
_REPLACE = f"{_INSERT} ON CONFLICT DO UPDATE SET version = excluded.version"


@pytest.fixture
async def storage(tmp_path: Path, clock: MovedClock) -> AsyncIterator[SqliteStorage]:
    storage = SqliteStorage(tmp_path / "kv.sqlite", clock=clock)
    await storage.open()
    yield storage
    await storage.close()


async def test_the_writes_of_other_programs_are_changes(storage: SqliteStorage) -> None:
    # An older server, which was started before the file was migrated, writes so too.
    begin = await cursor_of_now(storage)
    other = apsw.Connection(str(storage.path))
    with other:
        other.execute(_INSERT, ("default", "a", "1", None, "1"))
        other.execute(_REPLACE, ("default", "a", "2", None, "2"))
        other.execute("UPDATE entry SET expires_at = 2e9 WHERE key = 'a'")
        other.execute("DELETE FROM entry WHERE key = 'a'")
        other.execute(_INSERT, ("default", "old", "3", 1.0, "3"))
        other.execute("DELETE FROM entry WHERE key = 'old'")
        other.execute("UPDATE change_log SET expired_until = 0")
        other.execute(_INSERT, ("default", "gone", "4", 1.0, "4"))
        other.execute(_REPLACE, ("default", "gone", "5", None, "5"))
        other.execute("DELETE FROM entry WHERE key = 'gone'")
    other.close()
    assert seen(await changes_since(storage, begin)) == [
        (Event.SET, "a", "1"),
        (Event.SET, "a", "2"),
        (Event.TOUCH, "a", "2"),
        (Event.DELETE, "a", "2"),
        (Event.SET, "old", "3"),
        (Event.EXPIRE, "old", "3"),
        (Event.SET, "gone", "4"),
        (Event.EXPIRE, "gone", "4"),
        (Event.SET, "gone", "5"),
        (Event.EXPIRE, "gone", "5"),
    ]


async def test_a_file_of_an_older_server_begins_a_log(
    storage: SqliteStorage, tmp_path: Path, clock: MovedClock
) -> None:
    await storage.migrate(to=1)
    other = apsw.Connection(str(storage.path))
    other.execute(_INSERT, ("default", "a", "1", None, "1"))
    other.close()
    await storage.close()
    migrated = SqliteStorage(tmp_path / "kv.sqlite", clock=clock)
    ran = await migrated.open()
    assert [one.migration for one in ran] == ["0002_changes"]
    begin = await cursor_of_now(migrated)
    await migrated.set(put("b"))
    assert [one.key for one in await changes_since(migrated, begin)] == ["b"]
    await migrated.close()


async def test_many_expiries_at_once_are_recorded(
    storage: SqliteStorage, clock: MovedClock
) -> None:
    begin = await cursor_of_now(storage)
    count = MOST_EXPIRED + 1
    await storage.batch(Batch([put(str(i), expires_at=clock() + 1) for i in range(count)]))
    clock.move(1)
    version = await storage.set(put("0"))  # a write that runs into them
    changes = seen(await changes_since(storage, begin))
    assert [event for event, _, _ in changes[count:]] == [Event.EXPIRE] * count + [Event.SET]
    assert changes[-1] == (Event.SET, "0", version)


async def test_expiries_that_the_log_cannot_keep_end_it(tmp_path: Path, clock: MovedClock) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite", clock=clock)
    storage.retention = Retention(3600, MOST_EXPIRED + 10)
    await storage.open()
    count = MOST_EXPIRED + 11
    await storage.batch(Batch([put(str(i), expires_at=clock() + 1) for i in range(count)]))
    begin = await cursor_of_now(storage)
    clock.move(1)
    with pytest.raises(CursorGone):
        await storage.changes(ReadChanges(begin))
    begin = await cursor_of_now(storage)
    version = await storage.set(put("0"))
    assert seen(await changes_since(storage, begin)) == [(Event.SET, "0", version)]
    await storage.close()


async def test_a_server_that_records_nothing_ends_the_log_of_others(
    storage: SqliteStorage, tmp_path: Path
) -> None:
    begin = await cursor_of_now(storage)
    other = SqliteStorage(tmp_path / "kv.sqlite")
    other.retention = None
    await other.open()
    await other.set(put("a"))
    with pytest.raises(CursorGone):
        await storage.changes(ReadChanges(begin))
    with pytest.raises(StorageUnsupported, match="changes = False"):
        await storage.changes(ReadChanges(None))
    await other.close()


async def test_the_log_stays_near_its_limit(tmp_path: Path, clock: MovedClock) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite", clock=clock)
    storage.retention = Retention(3600, 100)
    await storage.open()
    sets: list[Set] = [put(str(i)) for i in range(1000)]
    for _ in range(10):
        await storage.batch(Batch(sets))
    db = apsw.Connection(str(storage.path))
    rows = db.execute("SELECT count(*) FROM change").get
    db.close()
    assert isinstance(rows, int)
    assert 100 <= rows < 5000
    await storage.close()


async def test_a_write_of_another_process_wakes_a_reader(
    storage: SqliteStorage, tmp_path: Path
) -> None:
    begin = await cursor_of_now(storage)
    other = SqliteStorage(tmp_path / "kv.sqlite")
    await other.open()

    async def write() -> str:
        return await other.set(put("a"))

    page, version = await asyncio.gather(
        asyncio.wait_for(storage.changes(ReadChanges(begin, wait=60)), 30), write()
    )
    assert seen(page.changes) == [(Event.SET, "a", version)]
    await other.close()


async def test_a_deletion_by_prefix_is_recorded_as_triggers_record_it(
    storage: SqliteStorage, clock: MovedClock
) -> None:
    versions = {key: await storage.set(put(key)) for key in ("a/1", "a/2", "b")}
    await storage.set(put("a/3", expires_at=clock() + 1))
    clock.move(1)
    begin = await cursor_of_now(storage)
    assert await storage.delete_prefix(DeletePrefix("default", "a/", 10)) == Deletion(2)
    expected = [(Event.DELETE, key, versions[key]) for key in ("a/1", "a/2")]
    changes = seen(await changes_since(storage, begin))
    assert [change for change in changes if change[0] is Event.DELETE] == expected
    # The triggers are in force again.
    await storage.delete(Delete("default", "b"))
    assert seen(await changes_since(storage, begin))[-1] == (Event.DELETE, "b", versions["b"])


async def test_a_deletion_by_prefix_without_a_log_records_nothing(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    storage.retention = None
    await storage.open()
    for key in ("a/1", "a/2"):
        await storage.set(put(key))
    assert await storage.delete_prefix(DeletePrefix("default", "a/", 10)) == Deletion(2)
    await storage.close()
    with apsw.Connection(str(storage.path)) as db:
        assert db.execute("SELECT count(*) FROM change").get == 0
    db.close()
