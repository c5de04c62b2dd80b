"""Test that SqliteStorage keeps the contract, in a file that other programs can read."""

import asyncio
import errno
import json
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest

from workertown_kv.errors import PreconditionFailed, StorageError, StorageUnavailable, ValueTooLarge
from workertown_kv.operations import (
    Batch,
    DeletePrefix,
    Deletion,
    Get,
    List,
    Operation,
    Page,
    Precondition,
    Set,
)
from workertown_kv.storage import SWEEP_MARGIN_SECONDS, Clock, Migration, Storage
from workertown_kv.storage.deletion import DeleteRange
from workertown_kv.storage.listing import KeyRange
from workertown_kv.storage.sql.dialects.sqlite import SCANNED_ROWS
from workertown_kv.storage.sqlite import SqliteStorage, writer
from workertown_kv.testing import MovedClock, StorageConformance

pytestmark = pytest.mark.anyio


class TestSqliteStorage(StorageConformance):
    lacks = SqliteStorage.lacks

    def make(self, clock: Clock, folder: Path) -> Storage:
        return SqliteStorage(folder / "kv.sqlite", clock=clock)


def put(key: str, value: bytes = b"1", *, is_json: bool = True, **more: float) -> Set:
    return Set(
        namespace="default",
        key=key,
        value=value,
        is_json=is_json,
        expires_at=more.get("expires_at"),
    )


@pytest.fixture
def shell(tmp_path: Path, require_program: Callable[[str, str], str]) -> Callable[[str], str]:
    program = require_program("sqlite3", "sqlite3")

    def run(sql: str) -> str:
        command = [program, "-batch", str(tmp_path / "kv.sqlite"), sql]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return run


async def test_the_sqlite3_shell_reads_what_was_written(
    tmp_path: Path, shell: Callable[[str], str]
) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    await storage.set(
        Set(
            namespace="default",
            key="a/é",
            value='{"b": "\U0001f600"}'.encode(),
            metadata=b'{"m":1}',
            expires_at=4_000_000_000.5,
        )
    )
    await storage.set(put("bytes", b"\xff\0", is_json=False))
    read = "SELECT key, typeof(value), value, metadata, expires_at FROM entry WHERE key LIKE 'a/%'"
    assert shell(read) == 'a/é|text|{"b": "\U0001f600"}|{"m":1}|4000000000.5'
    assert shell("SELECT json_extract(value, '$.b') FROM entry WHERE key = 'a/é'") == "\U0001f600"
    assert shell("SELECT typeof(value), hex(value) FROM entry WHERE key = 'bytes'") == "blob|FF00"
    assert shell("PRAGMA journal_mode") == "wal"
    assert shell("PRAGMA integrity_check") == "ok"
    await storage.close()


async def test_what_the_sqlite3_shell_writes_is_read(
    tmp_path: Path, shell: Callable[[str], str]
) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    shell("INSERT INTO entry (namespace, key, version, value) VALUES ('default', 'k', 'v1', '[1]')")
    entry = await storage.get(Get("default", "k"))
    assert entry is not None
    assert (entry.value, entry.is_json, entry.version) == (b"[1]", True, "v1")
    await storage.close()


async def test_an_acknowledged_write_is_synced(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    assert storage._writer.db.pragma("synchronous") == 2
    assert storage._writer.db.pragma("journal_mode") == "wal"
    await storage.close()


async def test_its_sqlite_is_not_one_that_corrupts_files() -> None:
    assert apsw.SQLITE_VERSION_NUMBER >= 3_051_003


def counted_commits(storage: SqliteStorage) -> list[None]:
    """A list that gets one item longer with every commit."""
    commits: list[None] = []

    def count() -> bool:
        commits.append(None)
        return False  # go on with the commit

    storage._writer.db.set_commit_hook(count)
    return commits


async def test_concurrent_writes_share_a_commit(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    commits = counted_commits(storage)
    await asyncio.gather(*(storage.set(put(str(i))) for i in range(1000)))
    assert 4 <= len(commits) <= 10
    await storage.close()


@pytest.mark.parametrize("failing", ["grow", "reserve"])
async def test_a_failure_of_the_disk_lets_no_write_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    monkeypatch.setattr(writer, "_QUICK_SECONDS", 60)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(storage._files, failing, fail)
        async with asyncio.timeout(60):
            with pytest.raises(OSError, match="Input/output"):
                await storage.set(put("a"))
    async with asyncio.timeout(60):
        await storage.set(put("b"))
        assert await storage.get(Get("default", "b")) is not None
        await storage.close()


async def test_reads_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite", busy_timeout_seconds=0.01)
    await storage.open()
    await storage.set(put("a", b"1"))
    other = apsw.Connection(str(tmp_path / "kv.sqlite"))
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE entry SET value = '2'")
    entry = await storage.get(Get("default", "a"))
    assert entry is not None
    assert entry.value == b"1"
    with pytest.raises(StorageUnavailable, match="busy"):
        await storage.set(put("a", b"3"))
    other.execute("COMMIT")
    other.close()
    entry = await storage.get(Get("default", "a"))
    assert entry is not None
    assert entry.value == b"2"
    await storage.set(put("a", b"3"))
    await storage.close()


async def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    await storage.set(put("a"))
    storage._writer.db.pragma("max_page_count", 20)
    with pytest.raises(StorageUnavailable, match="space"):
        await storage.set(put("b", b"x" * 1_000_000, is_json=False))
    big = put("b", b"x" * 1_000_000, is_json=False)
    for atomic in (True, False):
        with pytest.raises(StorageUnavailable, match="space"):
            await storage.batch(Batch([put("a", b"2"), big], atomic=atomic))
    storage._writer.db.pragma("max_page_count", 1_000_000)
    assert await storage.get(Get("default", "a")) is not None
    assert await storage.get(Get("default", "b")) is None
    await storage.set(put("b", b"x" * 1_000_000, is_json=False))
    await storage.close()


async def test_sweeping_reclaims_space_in_small_steps(tmp_path: Path, clock: MovedClock) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite", clock=clock)
    await storage.open()
    for i in range(4):
        await storage.set(put(str(i), b"x" * 5_000_000, is_json=False, expires_at=clock() + 1))
    await storage.set(put("kept"))
    clock.move(1 + SWEEP_MARGIN_SECONDS)
    assert [await storage.sweep(100) for _ in range(3)] == [2, 2, 0]
    keys = storage._writer.db.execute("SELECT key FROM entry").fetchall()
    assert keys == [("kept",)]
    await storage.close()


async def test_a_write_that_cannot_be_bound_fails_alone(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    outcomes = await asyncio.gather(
        storage.set(put("a")),
        storage.set(put("\ud800")),
        storage.batch(Batch([put("b"), put("\udfff")])),
        storage.set(put("c")),
        return_exceptions=True,
    )
    assert [type(one) for one in outcomes] == [str, UnicodeEncodeError, UnicodeEncodeError, str]
    assert [one.key for one in (await storage.list(List("default", "", 9))).keys] == ["a", "c"]
    await storage.close()


async def test_a_writer_who_goes_away_spoils_nothing_for_the_others(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    writes = [asyncio.ensure_future(storage.set(put(str(i)))) for i in range(30)]
    await asyncio.sleep(0)
    for one in writes[::2]:
        one.cancel()
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert {type(one) for one in outcomes[1::2]} == {str}
    assert {type(one) for one in outcomes[::2]} == {asyncio.CancelledError}
    for i in range(1, 30, 2):
        assert await storage.get(Get("default", str(i))) is not None
    await storage.close()


def threads_of_statements(storage: SqliteStorage) -> dict[str, str]:
    """Collect which thread runs each kind of statement of the writer from now on."""
    threads: dict[str, str] = {}
    loop = threading.get_ident()

    def note(_: object, sql: str, __: object) -> bool:
        name = "loop" if threading.get_ident() == loop else "thread"
        threads[sql.split(maxsplit=1)[0]] = name
        return True

    storage._writer.db.exec_trace = note
    return threads


@pytest.mark.parametrize(("size", "thread"), [(64 * 1024, "loop"), (64 * 1024 + 1, "thread")])
async def test_only_short_writes_run_on_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, thread: str
) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    monkeypatch.setattr(writer, "_QUICK_SECONDS", 60)
    threads = threads_of_statements(storage)
    await storage.set(put("a", b"x" * size, is_json=False))
    assert {threads[name] for name in ("BEGIN", "INSERT", "COMMIT")} == {thread}
    await storage.close()


async def test_only_small_groups_are_committed_on_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    monkeypatch.setattr(writer, "_QUICK_SECONDS", 60)
    threads = threads_of_statements(storage)
    value = b"x" * 64 * 1024
    for count, thread in ((4, "loop"), (5, "thread")):
        await asyncio.gather(
            *(storage.set(put(str(i), value, is_json=False)) for i in range(count))
        )
        assert threads["INSERT"] == "loop"
        assert threads["COMMIT"] == thread
    await storage.close()


async def test_after_a_slow_commit_the_event_loop_waits_for_none_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    now = 1000.0
    commit_seconds = 0.0

    def moved() -> float:
        nonlocal now
        now += commit_seconds
        return now

    monkeypatch.setattr(writer, "time", SimpleNamespace(monotonic=moved))
    threads = threads_of_statements(storage)

    async def committed_in() -> str:
        await storage.set(put("a"))
        return threads["COMMIT"]

    assert await committed_in() == "loop"
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        commit_seconds = 0.1
        assert await committed_in() == "loop"
        commit_seconds = 0
        now += pause - 0.1
        assert await committed_in() == "thread"
        now += 0.1
    assert await committed_in() == "loop"
    # A quick commit makes the next pause short again.
    commit_seconds = 0.1
    assert await committed_in() == "loop"
    commit_seconds = 0
    now += 1
    assert await committed_in() == "loop"
    await storage.close()


async def test_a_commit_that_fails_on_the_event_loop_is_tried_in_the_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    loop = threading.get_ident()
    failed = []

    def refuse() -> bool:
        if threading.get_ident() == loop:
            failed.append(True)
            return True  # rolls the transaction back
        return False

    storage._writer.db.set_commit_hook(refuse)
    await asyncio.gather(storage.set(put("a")), storage.set(put("b")))
    assert failed == [True]
    assert [one.key for one in (await storage.list(List("default", "", 9))).keys] == ["a", "b"]
    await storage.close()


async def test_writes_and_migrations_share_the_connection(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    for _ in range(20):
        await asyncio.gather(
            storage.set(put("a")), storage.migrate(), storage.set(put("b")), storage.migrate()
        )
    await storage.close()


async def test_large_writes_do_not_all_share_one_commit(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    commits = counted_commits(storage)
    big = b"x" * 6_000_000
    await asyncio.gather(*(storage.set(put(str(i), big, is_json=False)) for i in range(9)))
    assert len(commits) == 9
    await storage.close()


@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_is_acknowledged_into_a_file_that_was_removed(
    tmp_path: Path, replaced: bool
) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    await storage.set(put("a"))
    await storage.check()
    for name in ("kv.sqlite", "kv.sqlite-wal", "kv.sqlite-shm"):
        (tmp_path / name).unlink()
    if replaced:
        (tmp_path / "kv.sqlite").touch()
    with pytest.raises(StorageUnavailable, match="removed"):
        await storage.set(put("b"))
    with pytest.raises(StorageUnavailable, match="removed"):
        await storage.check()
    await storage.close()


async def test_a_batch_reads_no_more_than_it_may_return(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    await storage.set(put("a", b"x" * 20_000_000, is_json=False))
    stale = Precondition(("stale",))
    gets = [Get("default", "a", stale)] * 500 + [Get("default", "a")] * 499
    batches: list[list[Operation]] = [[*gets], [*gets, put("b")]]
    tracemalloc.start()
    for operations in batches:
        results = await storage.batch(Batch(operations, read_bytes=50_000_000))
        kinds = [type(one) for one in results]
        assert kinds[:500] == [PreconditionFailed] * 2 + [ValueTooLarge] * 498
        assert kinds[500:999] == [ValueTooLarge] * 499
        del results
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 120_000_000
    await storage.close()


# Listing


async def test_a_listing_takes_a_step_for_so_many_rows_and_skips_none(
    tmp_path: Path, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite", clock=clock)
    await storage.open()
    await storage.set(put("k/z1"))
    await storage.set(put("k/z2"))
    steps: list[int] = []
    list_some = storage._lister.list_some

    def counted(*asked: Any) -> Any:
        found = list_some(*asked)
        steps.append(len(found[0]))
        return found

    monkeypatch.setattr(storage._lister, "list_some", counted)
    expired = 0
    for count in range(2 * SCANNED_ROWS - 1, 2 * SCANNED_ROWS + 2):
        storage._writer.db.execute(
            "INSERT INTO entry SELECT 'default', format('k/%06d', value), 'v', ?, NULL, '1' "
            "FROM (WITH RECURSIVE n(value) AS (VALUES (?) UNION ALL "
            "SELECT value + 1 FROM n WHERE value + 1 < ?) SELECT value FROM n)",
            (clock() - 1, expired, count),
        )
        expired = count
        steps.clear()
        page = await storage.list(List("default", "k/", 1))
        assert ([one.key for one in page.keys], page.cursor) == (["k/z1"], "k/z1")
        assert len(steps) > 1
        assert sum(steps) == 2
        page = await storage.list(List("default", "k/", 1, page.cursor))
        assert ([one.key for one in page.keys], page.cursor) == (["k/z2"], None)
        assert await storage.list(List("default", "k/0", 1)) == Page([])
    await storage.close()


async def test_only_listings_wait_for_listings(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    await storage.set(put("large", b"x" * 100_000, is_json=False))
    end = threading.Event()
    storage._listing.submit(end.wait)
    listing = asyncio.create_task(storage.list(List("default", "", 10)))
    await storage.check()
    await storage.probe()
    await storage.get(Get("default", "large"))
    await storage.batch(Batch([Get("default", "large")]))
    assert not listing.done()
    end.set()
    assert len((await listing).keys) == 1
    await storage.close()


# Opening


async def test_a_file_of_another_application_is_refused(tmp_path: Path) -> None:
    with apsw.Connection(str(tmp_path / "kv.sqlite")) as db:
        db.execute("PRAGMA user_version = 3")
    db.close()
    with pytest.raises(StorageError, match="another application"):
        await SqliteStorage(tmp_path / "kv.sqlite").open()


async def test_a_schema_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    await storage.close()
    with apsw.Connection(str(tmp_path / "kv.sqlite")) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StorageError, match=r"schema 99.*newer"):
        await storage.open()


async def test_many_may_open_a_new_file_at_the_same_time(tmp_path: Path) -> None:
    for i in range(40):
        storages = [SqliteStorage(tmp_path / f"{i}.sqlite") for _ in range(8)]
        await asyncio.gather(*(storage.open() for storage in storages))
        await asyncio.gather(*(storage.close() for storage in storages))


class SlowToDisconnect(SqliteStorage):
    """Disconnects only once it has connected again, if it does that before it has disconnected."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.connected = threading.Event()

    def _connect_all(self) -> Sequence[Migration]:
        migrations = super()._connect_all()
        self.connected.set()
        return migrations

    def _disconnect_all(self) -> None:
        self.connected.wait(0.2)
        super()._disconnect_all()


async def test_an_opening_that_failed_leaves_the_next_one_alone(tmp_path: Path) -> None:
    file = tmp_path / "kv.sqlite"
    file.write_bytes(b"no database" * 100)
    storage = SlowToDisconnect(file)
    with pytest.raises(StorageError, match="file is not a database"):
        await storage.open()
    file.unlink()
    await storage.open()
    await storage.set(put("a"))
    await storage.check()
    await storage.close()


async def test_openings_that_failed_leave_no_connections(tmp_path: Path) -> None:
    def count() -> int:
        return sum(one.filename == str(file) for one in apsw.connections())

    file = tmp_path / "kv.sqlite"
    file.write_bytes(b"no database" * 100)
    storage, other = SqliteStorage(file), SqliteStorage(file)
    for _ in range(3):
        with pytest.raises(StorageError, match="file is not a database"):
            await storage.open()
    file.unlink()
    await storage.open()
    of_one = count()
    await other.open()
    assert count() == 2 * of_one
    await other.close()
    await storage.close()


@pytest.mark.parametrize("kind", ["text", "folder", "missing folder"])
async def test_what_is_no_database_is_said_to_be_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "kv.sqlite"
    if kind == "text":
        path.write_text("this is no database, but it is long enough to be looked at" * 10)
    elif kind == "folder":
        path.mkdir()
    else:
        path = tmp_path / "missing" / "kv.sqlite"
    with pytest.raises(StorageError) as caught:
        await SqliteStorage(path).open()
    assert str(path.parent) in caught.value.message


_WRITER = """
import asyncio, sys
from workertown_kv.operations import Get, Precondition, Set
from workertown_kv.errors import PreconditionFailed
from workertown_kv.storage.sqlite import SqliteStorage, writer

async def main(path, name):
    storage = SqliteStorage(path)
    await storage.open()
    for i in range(50):
        await storage.set(Set(namespace="default", key=f"{name}/{i}", value=b"1"))
    added = 0
    while added < 20:
        entry = await storage.get(Get("default", "sum"))
        this = Precondition((entry.version,)) if entry else Precondition(negated=True)
        value = str(int(entry.value) + 1 if entry else 1).encode()
        try:
            await storage.set(Set(namespace="default", key="sum", value=value, precondition=this))
            added += 1
        except PreconditionFailed:
            pass
    await storage.close()

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


async def test_several_processes_may_open_and_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "kv.sqlite"
    command = [sys.executable, "-c", _WRITER, str(path)]
    writers = [
        await asyncio.create_subprocess_exec(*command, name, stderr=subprocess.PIPE)
        for name in "ab"
    ]
    for process in writers:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    storage = SqliteStorage(path)
    await storage.open()
    total = await storage.get(Get("default", "sum"))
    assert total is not None
    assert json.loads(total.value) == 40
    assert len((await storage.list(List("default", "", 1000))).keys) == 101
    await storage.close()


# Deleting by prefix


async def test_a_deletion_goes_over_few_keys_at_a_time(
    tmp_path: Path, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite", clock=clock)
    await storage.open()
    with storage._writer.db as db:
        rows = ((f"k/{i:06}", clock() - 1 if i % 2 else None) for i in range(2500))
        db.executemany("INSERT INTO entry VALUES ('default', ?, 'v', ?, NULL, '1')", rows)
    groups: list[Any] = []
    commit = storage._writer.commit

    def counted(jobs: Any, *given: Any) -> Any:
        outcomes = commit(jobs, *given)
        if any(isinstance(job, DeleteRange) for job in jobs):
            groups.append(outcomes)
        return outcomes

    monkeypatch.setattr(storage._commits, "_commit", counted)
    deleting = asyncio.create_task(storage.delete_prefix(DeletePrefix("default", "k/", 10_000)))
    sets = [storage.set(put(f"other{i}")) for i in range(50)]
    await asyncio.gather(*sets)
    assert await deleting == Deletion(1250)
    assert [[deleted for deleted, _ in group] for group in groups] == [[500], [500], [250]]
    await storage.close()


async def test_a_deletion_of_large_values_takes_smaller_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    await storage.open()
    for i in range(12):
        await storage.set(put(f"k/{i:02}", b"x" * 1_000_000, is_json=False))
    sizes: list[int] = []
    delete_range = storage._writer._runner._table.delete_range

    def counted(namespace: str, keys: KeyRange) -> int:
        sizes.append(delete_range(namespace, keys))
        return sizes[-1]

    monkeypatch.setattr(storage._writer._runner._table, "delete_range", counted)
    assert await storage.delete_prefix(DeletePrefix("default", "k/", 10_000)) == Deletion(12)
    assert sizes == [9, 3]
    await storage.close()
