"""Test reads that are answered from memory while nothing is written."""

import itertools
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from workertown_kv.operations import Delete, Get, Set
from workertown_kv.storage.sqlite import SqliteStorage, recent_reads
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


async def test_a_read_sees_each_write_that_was_answered_before(
    storage: SqliteStorage, tmp_path: Path, clock: MovedClock
) -> None:
    other = SqliteStorage(tmp_path / "kv.sqlite", clock=clock)
    await other.open()
    stores = (storage, other)
    for number, writer in enumerate(itertools.islice(itertools.cycle(stores), 40)):
        value = b"%d" % number
        await write(writer, "a", value)
        assert [await value_of(one) for one in stores] == [value, value]
        await writer.delete(Delete("default", "a"))
        assert [await value_of(one) for one in stores] == [None, None]
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
