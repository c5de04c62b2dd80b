"""Test reads that are answered from memory while nothing is written."""

import asyncio
import itertools
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from workertown_kv.errors import PreconditionFailed, StorageUnavailable
from workertown_kv.operations import MUST_NOT_EXIST, Delete, Get, Set
from workertown_kv.storage.sqlite import SqliteStorage, recent_reads, writer
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def storage(tmp_path: Path, clock: MovedClock) -> AsyncIterator[SqliteStorage]:
    opened = SqliteStorage(tmp_path / "kv.sqlite", clock=clock)
    await opened.open()
    yield opened
    await opened.close()


async def value_of(storage: SqliteStorage, key: str = "a") -> bytes | None:
    entry = await storage.get(Get("default", key))
    return None if entry is None else entry.value


async def write(
    storage: SqliteStorage, key: str, value: bytes, expires_at: float | None = None
) -> None:
    await storage.set(Set(namespace="default", key=key, value=value, expires_at=expires_at))


def statements_of(storage: SqliteStorage) -> list[str]:
    """Collect the statements of reads on the event loop from now on."""
    run: list[str] = []

    def note(_: object, sql: str, __: object) -> bool:
        run.append(sql)
        return True

    storage._reader._table.db.exec_trace = note
    return run


async def test_a_repeated_read_runs_no_statement(storage: SqliteStorage) -> None:
    await write(storage, "a", b"1")
    assert await value_of(storage) == b"1"
    assert await value_of(storage, "missing") is None
    run = statements_of(storage)
    assert await value_of(storage) == b"1"
    assert await value_of(storage, "missing") is None
    assert run == []


@pytest.mark.parametrize("thread", ["loop", "thread"])
async def test_a_write_drops_only_the_keys_that_it_writes(
    storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch, thread: str
) -> None:
    monkeypatch.setattr(writer, "_QUICK_SECONDS", 60 if thread == "loop" else -1)
    await write(storage, "a", b"1")  # after it, commits are in the thread if none is quick
    await write(storage, "b", b"1")
    for key in ("a", "b", "missing"):
        await value_of(storage, key)
    await write(storage, "b", b"2")
    await write(storage, "missing", b"1")
    run = statements_of(storage)
    assert await value_of(storage, "a") == b"1"
    assert run == []
    assert await value_of(storage, "b") == b"2"
    assert await value_of(storage, "missing") == b"1"
    assert len(run) == 2


@pytest.mark.parametrize("thread", ["loop", "thread"])
async def test_a_read_beside_a_commit_sees_one_state_or_the_other(
    storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch, thread: str
) -> None:
    monkeypatch.setattr(writer, "_QUICK_SECONDS", 60 if thread == "loop" else -1)
    for number in range(200):
        value = b"%d" % number
        writes = [asyncio.ensure_future(write(storage, key, value)) for key in ("a", "b")]
        while not all(one.done() for one in writes):
            found = [await value_of(storage, key) for key in ("a", "b")]
            assert {*found} <= {value, b"%d" % (number - 1), None}
            await asyncio.sleep(0)
        assert [await value_of(storage, key) for key in ("a", "b")] == [value, value]


async def test_a_read_sees_a_foreign_commit_right_after_an_own_commit(
    storage: SqliteStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_QUICK_SECONDS", 60)
    await write(storage, "a", b"1")
    assert await value_of(storage) == b"1"
    other = apsw.Connection(str(tmp_path / "kv.sqlite"))
    commit_now = storage._commits._commit_now

    def commit_and_write() -> bool:
        is_committed = commit_now()
        other.execute("UPDATE entry SET value = CAST('2' AS BLOB) WHERE key = 'a'")
        return is_committed

    monkeypatch.setattr(storage._commits, "_commit_now", commit_and_write)
    await write(storage, "b", b"1")
    assert await value_of(storage) == b"2"
    other.close()


async def test_a_failed_write_changes_no_kept_entry(storage: SqliteStorage) -> None:
    await write(storage, "a", b"1")
    assert await value_of(storage) == b"1"
    with pytest.raises(PreconditionFailed):
        await storage.delete(Delete("default", "a", MUST_NOT_EXIST))
    storage._writer.db.pragma("max_page_count", 10)
    with pytest.raises(StorageUnavailable):
        await write(storage, "a", b"x" * 60_000)
    storage._writer.db.pragma("max_page_count", 1_000_000)
    assert await value_of(storage) == b"1"
    await write(storage, "a", b"2")
    assert await value_of(storage) == b"2"


async def test_a_read_sees_each_write_that_was_answered_before(
    storage: SqliteStorage, tmp_path: Path, clock: MovedClock
) -> None:
    other = SqliteStorage(tmp_path / "kv.sqlite", clock=clock)
    await other.open()
    stores = (storage, other)
    for number, one in enumerate(itertools.islice(itertools.cycle(stores), 40)):
        value = b"%d" % number
        await write(one, "a", value)
        assert [await value_of(store) for store in stores] == [value, value]
        await one.delete(Delete("default", "a"))
        assert [await value_of(store) for store in stores] == [None, None]
    await other.close()


async def test_a_read_sees_what_another_program_has_written(
    storage: SqliteStorage, tmp_path: Path
) -> None:
    await write(storage, "a", b"1")
    assert await value_of(storage) == b"1"
    # In a process of its own: two SQLite libraries in one process break each other's locks.
    script = """
import sqlite3
import sys

db = sqlite3.connect(sys.argv[1])
for value in ("2", "3"):
    db.execute("UPDATE entry SET value = CAST(? AS BLOB)", (value,))
    print("written", flush=True)
    sys.stdin.readline()
    db.commit()
    print("committed", flush=True)
    sys.stdin.readline()
"""
    command = [sys.executable, "-c", script, str(tmp_path / "kv.sqlite")]
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: ASYNC220  (nothing else runs on this event loop)
        command, stdin=pipe, stdout=pipe, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        for before, after in ((b"1", b"2"), (b"2", b"3")):
            for said, seen in (("written", before), ("committed", after)):
                assert other.stdout.readline() == f"{said}\n"
                assert await value_of(storage) == seen
                other.stdin.write("\n")
                other.stdin.flush()


async def test_no_read_is_older_than_a_write_that_was_committed(
    storage: SqliteStorage, tmp_path: Path
) -> None:
    await write(storage, "a", b"0")
    committed = [0]
    ended = threading.Event()

    def count_up() -> None:
        db = apsw.Connection(str(tmp_path / "kv.sqlite"))
        db.set_busy_timeout(60_000)
        for number in range(1, 301):
            db.execute("UPDATE entry SET value = CAST(? AS BLOB)", (str(number),))
            committed[0] = number
        db.close()
        ended.set()

    thread = threading.Thread(target=count_up)
    thread.start()
    while not ended.is_set():
        least = committed[0]
        found = await value_of(storage)
        assert found is not None
        assert int(found) >= least
    thread.join()
    assert await value_of(storage) == b"300"


async def test_an_entry_expires_while_it_is_kept(storage: SqliteStorage, clock: MovedClock) -> None:
    await write(storage, "a", b"1", expires_at=clock() + 10)
    assert await value_of(storage) == b"1"
    clock.move(11)
    assert await value_of(storage) is None


async def test_what_is_kept_is_bounded(
    storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        await write(storage, f"{number}", b"%d" % number * 500)
    monkeypatch.setattr(recent_reads, "MOST_BYTES", 10_000)
    for _ in range(2):
        for number in range(50):
            assert await value_of(storage, f"{number}") == b"%d" % number * 500
    assert 0 < storage._reader._bytes <= 10_000
    assert 0 < len(storage._reader._entries) < 10


async def test_a_value_that_is_read_aside_is_not_kept(storage: SqliteStorage) -> None:
    large = b"x" * 100_000
    await write(storage, "a", large)
    assert await value_of(storage) == large
    assert storage._reader._bytes == 0
