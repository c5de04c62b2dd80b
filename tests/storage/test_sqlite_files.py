"""Test SqliteStorage when something happens to its files or their disk."""

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import httpx2
import pytest

from caller import Caller, make_server
from servers.small_disk import fill, small_disk
from waiting import wait_until
from workertown_kv.errors import StorageFailure, StorageUnavailable
from workertown_kv.operations import Delete, Get, List, Set
from workertown_kv.storage.sqlite import SqliteStorage, storage, write_ahead_log
from workertown_kv.storage.sqlite.disk import file_system
from workertown_kv.storage.sqlite.jobs import Job
from workertown_kv.testing import ServedStore

pytestmark = pytest.mark.anyio


def put(key: str, value: bytes = b"1") -> Set:
    return Set(namespace="default", key=key, value=value, is_json=False)


def numbers(client: httpx2.Client, count: int) -> list[int]:
    """Return the status of a get of each key."""
    return [client.get(f"/v1/kv/{i}").status_code for i in range(count)]


# Removed files


_VISIT = """
import fcntl, sqlite3, sys

file = sys.argv[1]
with open(f"{file}-shm", "r+b") as index:
    try:
        # The byte that every process locks that uses the index.
        fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)
    except OSError:
        pass
    else:
        raise SystemExit("Nobody uses the index")
sqlite3.connect(file).execute("SELECT 1 FROM entry").fetchall()
"""


async def test_a_storage_that_closes_leaves_the_locks_of_another_in_this_process(
    tmp_path: Path,
) -> None:
    file = tmp_path / "kv.sqlite"
    stays = SqliteStorage(file)
    await stays.open()
    counts = []
    for number in range(3):
        leaves = SqliteStorage(file)
        await leaves.open()
        await leaves.set(put(f"leaves-{number}"))
        await leaves.close()
        # Without locks on the files, this process would take itself for the last that uses them,
        # and remove them.
        await asyncio.to_thread(visit, file)
        await stays.set(put(f"stays-{number}"))
        assert await stays.get(Get("default", f"leaves-{number}")) is not None
        counts.append(len([one for one in open_files() if one.parent == tmp_path]))
    # SQLite itself keeps some, and takes them for the next storage.
    assert counts[0] == counts[2]
    await stays.close()
    assert os.listdir(tmp_path) == ["kv.sqlite"]  # noqa: PTH208  (no file, no wait)
    assert file not in open_files()


def visit(file: Path) -> None:
    subprocess.run([sys.executable, "-c", _VISIT, str(file)], check=True, timeout=30)


def open_files() -> list[Path]:
    return [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.exists()]


@pytest.mark.parametrize(
    "removed", [pytest.param(["-wal"], marks=pytest.mark.deep), ["-wal", "-shm"]]
)
def test_nothing_acknowledged_is_lost_when_the_log_is_removed(
    tmp_path: Path, removed: list[str]
) -> None:
    file = tmp_path / "kv.sqlite"
    with ServedStore(file) as server, server.client() as client:
        acknowledged = 0
        while client.put(f"/v1/kv/{acknowledged}", json={"value": 1}).status_code == 200:
            acknowledged += 1
            if acknowledged == 20:
                for end in removed:
                    Path(f"{file}{end}").unlink()
            assert acknowledged < 200
        refused = client.put("/v1/kv/refused", json={"value": 1})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert f"kv.sqlite{removed[0]}" in refused.json()["error"]
        wait_until(lambda: client.get("/health").status_code == 503)
        assert numbers(client, acknowledged) == [200] * acknowledged
        server.read_until("was removed or replaced while the server uses it")
        server.kill()
        assert server.output.count("was removed or replaced while the server uses it") == 1
        server.start()
        assert numbers(client, acknowledged) == [200] * acknowledged
        assert client.get("/v1/kv/refused").status_code == 404


async def test_what_several_servers_acknowledged_is_saved_too(tmp_path: Path) -> None:
    file = tmp_path / "kv.sqlite"
    servers = [SqliteStorage(file), SqliteStorage(file)]
    for server in servers:
        await server.open()
    for i in range(8):
        await servers[i % 2].set(put(str(i), b"x" * 300_000))
    (tmp_path / "kv.sqlite-wal").unlink()
    for server in servers:
        with pytest.raises(StorageUnavailable):
            await server.set(put("refused"))
    assert await keys_after_a_crash(file) >= set(map(str, range(8)))
    for server in servers:
        await server.close()


async def keys_after_a_crash(file: Path) -> set[str]:
    """Return the keys in a file as a crash would leave it now."""
    left = SqliteStorage(file.with_name("left.sqlite"))
    assert left.file is not None
    await copy(file, left.file)
    await left.open()
    found = {one.key for one in (await left.list(List("default", "", 100))).keys}
    await left.close()
    return found


async def copy(source: Path, target: Path) -> None:
    """Copy in another process: to close a file in this one would free its locks."""
    await asyncio.to_thread(subprocess.run, ["cp", str(source), str(target)], check=True)


@pytest.mark.parametrize(
    ("put_in_place", "ending"),
    [
        (shutil.copyfile, ServedStore.stop),
        pytest.param(shutil.move, ServedStore.kill, marks=pytest.mark.deep),
    ],
)
def test_a_backup_restored_under_a_running_server_stays_as_it_is(
    tmp_path: Path,
    put_in_place: Callable[[Path, Path], object],
    ending: Callable[[ServedStore], object],
) -> None:
    file, backup = tmp_path / "kv.sqlite", tmp_path / "backup.sqlite"
    with ServedStore(file) as server, server.client() as client:
        client.put("/v1/kv/old", json={"value": "x" * 100_000})
        db = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
        db.execute("VACUUM INTO ?", (str(backup),))
        db.close()
        for i in range(50):
            client.put(f"/v1/kv/{i}", json={"value": "y" * 5_000})
        put_in_place(backup, file)
        for end in ("-wal", "-shm"):
            Path(f"{file}{end}").unlink()
        assert client.put("/v1/kv/new", json={"value": 1}).status_code == 503
        ending(server)
        server.start()
        assert client.get("/v1/kv/old").json()["data"] == "x" * 100_000
        assert client.get("/v1/kv/0").status_code == 404
        assert client.put("/v1/kv/new", json={"value": 1}).status_code == 200
    with apsw.Connection(str(file)) as db:
        assert db.pragma("integrity_check") == "ok"
    db.close()


@pytest.mark.parametrize("removed", [["-wal"], ["-wal", "-shm"]])
async def test_the_log_of_a_file_behind_a_link_is_watched_too(
    tmp_path: Path, removed: list[str]
) -> None:
    real, link = tmp_path / "disk" / "data.sqlite", tmp_path / "kv.sqlite"
    real.parent.mkdir()
    link.symlink_to(real)
    opened = SqliteStorage(link)
    await opened.open()
    await opened.set(put("0"))
    for end in removed:
        real.with_name(f"data.sqlite{end}").unlink()
    with pytest.raises(StorageUnavailable):
        await opened.set(put("refused"))
    assert "0" in await keys_after_a_crash(real)
    await opened.close()


@pytest.mark.parametrize(
    ("end", "what"), [("", "backup"), ("", "old copy"), ("", "nothing"), ("-wal", "nothing")]
)
async def test_nothing_is_acknowledged_once_a_file_was_overwritten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, end: str, what: str
) -> None:
    file, other = tmp_path / "kv.sqlite", tmp_path / "copy.sqlite"
    opened = SqliteStorage(file)
    await opened.open()
    await opened.close()
    await opened.open()  # again, as the processes of `serve` do
    await opened.set(put("old"))
    db = apsw.Connection(str(file))
    if what == "backup":
        db.execute("VACUUM INTO ?", (str(other),))
    elif what == "old copy":
        await copy(file, other)
    else:
        other.touch()
    # This many bytes go into the file at once; a few stay in the log.
    await opened.set(put("more", b"x" * (10 if end else 5_000_000)))
    db.close()
    await copy(other, Path(f"{file}{end}"))  # in place: it is the same file still
    for key in ("old", "new"):
        with suppress(StorageUnavailable):
            await opened.set(put(key))
    with pytest.raises(StorageUnavailable, match=f"kv.sqlite{end},"):
        await opened.set(put("refused"))
    with pytest.raises(StorageUnavailable):
        await opened.probe()
    assert caplog.text.count("was overwritten or cut while the server uses it") == 1
    await opened.close()
    if end:  # of such a log, a server that starts makes an empty one
        again = SqliteStorage(file)
        await again.open()
        await again.set(put("again"))
        await again.close()


async def test_a_read_from_removed_files_is_no_internal_error(tmp_path: Path) -> None:
    opened = SqliteStorage(tmp_path / "kv.sqlite")
    await opened.open()
    await opened.set(put("a"))
    (tmp_path / "kv.sqlite").unlink()
    opened._writer.db.execute("DROP TABLE entry")  # what is left cannot be read
    with pytest.raises(StorageUnavailable) as caught:
        await opened.get(Get("default", "a"))
    assert caught.value.kind is StorageFailure.REMOVED
    await opened.close()


# A full disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder) as mounted:
        yield mounted


@pytest.mark.parametrize("filled_by", ["values", "others"])
async def test_a_full_disk_can_be_emptied_by_deleting(disk: Path, filled_by: str) -> None:
    async with make_server(SqliteStorage(disk / "kv.sqlite")) as server:
        call = Caller(server)

        async def put_status(key: str | int, size: int) -> int:
            value = {"value": "x" * size}
            return (await call("PUT", f"/v1/kv/{key}", json=value)).status_code

        written = 0
        while await put_status(written, 100_000) == 200:
            written += 1
            if filled_by == "others" and written == 30:
                # By now the log has values for which the file has no space yet.
                fill(disk)
            assert written < 1000
        fill(disk)
        refused = await call("PUT", "/v1/kv/large", json={"value": "x" * 1_000_000})
        assert (refused.status_code, "space" in refused.json()["error"]) == (503, True)
        for i in range(written):
            assert (await call("DELETE", f"/v1/kv/{i}")).status_code == 200
        for i in range(written):
            assert (await call("GET", f"/v1/kv/{i}")).status_code == 404
        for i in range(written - 1):  # the log of changes has grown
            assert await put_status(i, 100_000) == 200
        operations = [{"op": "delete", "key": str(i)} for i in range(written)]
        emptied = await call("POST", "/v1/kv", json={"operations": operations, "atomic": True})
        assert emptied.status_code == 200


async def test_a_delete_beside_a_write_that_finds_no_space_succeeds(disk: Path) -> None:
    opened = SqliteStorage(disk / "kv.sqlite")
    await opened.open()
    await opened.set(put("a", b"x" * 100_000))
    fill(disk)
    outcomes = await asyncio.gather(
        opened.set(put("b", b"x" * 10_000_000)),
        opened.delete(Delete("default", "a")),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], StorageUnavailable)
    assert outcomes[0].kind is StorageFailure.FULL
    assert outcomes[1] is None
    await opened.close()


async def test_the_log_has_space_from_the_start(disk: Path) -> None:
    opened = SqliteStorage(disk / "kv.sqlite")
    await opened.open()
    for i in range(20):
        await opened.set(put(str(i), b"x" * 100_000))
    await opened.close()  # which removes the log
    await opened.open()
    fill(disk)
    for i in range(20):
        await opened.delete(Delete("default", str(i)))
    await opened.close()


async def test_a_probe_finds_a_full_disk(disk: Path) -> None:
    opened = SqliteStorage(disk / "kv.sqlite")
    await opened.open()
    (warning,) = await opened.warnings()
    assert str(disk) in warning
    await opened.probe()
    other = fill(disk)
    kept = [put(str(i), b"x" * 50_000) for i in range(100)]
    outcomes = await asyncio.gather(*map(opened.set, kept), return_exceptions=True)
    assert {type(one) for one in outcomes} == {str, StorageUnavailable}
    for _ in range(2):
        with pytest.raises(StorageUnavailable) as caught:
            await opened.probe()
        assert caught.value.kind is StorageFailure.FULL
    other.unlink()
    await opened.probe()
    await opened.close()


# Probes and warnings


async def test_a_probe_writes_and_changes_no_entry(tmp_path: Path) -> None:
    opened = SqliteStorage(tmp_path / "kv.sqlite")
    await opened.open()
    await opened.set(put("a"))
    before = opened._writer.db.execute("SELECT * FROM entry").fetchall()
    commits: list[int] = []

    def note(_db: apsw.Connection, _name: str, pages: int) -> int:
        commits.append(pages)
        return apsw.SQLITE_OK

    opened._writer.db.set_wal_hook(note)
    await opened.probe()
    assert len(commits) == 1
    assert opened._writer.db.execute("SELECT * FROM entry").fetchall() == before
    assert opened._writer.db.pragma("user_version") == 2
    (tmp_path / "kv.sqlite-wal").unlink()
    with pytest.raises(StorageUnavailable) as caught:
        await opened.probe()
    assert caught.value.kind is StorageFailure.REMOVED
    await opened.close()


async def test_a_probe_finds_a_file_that_takes_no_writes(
    tmp_path: Path, require_program: Callable[[str, str], str]
) -> None:
    chattr = require_program("chattr", "e2fsprogs")
    opened = SqliteStorage(tmp_path / "kv.sqlite")
    await opened.open()
    await opened.set(put("a"))
    log = str(tmp_path / "kv.sqlite-wal")
    if (await asyncio.to_thread(subprocess.run, [chattr, "+i", log])).returncode != 0:
        pytest.skip("needs root, and a file system whose files chattr can make read-only")
    try:
        for act in (opened.probe(), opened.set(put("b"))):
            with pytest.raises(StorageUnavailable, match="read-only") as caught:
                await act
            assert caught.value.kind is StorageFailure.READ_ONLY
        assert await opened.get(Get("default", "a")) is not None
    finally:
        await asyncio.to_thread(subprocess.run, [chattr, "-i", log])
    await opened.probe()
    await opened.close()


async def test_a_lock_of_another_process_is_no_failure_unless_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "PROBE_SECONDS", 0)
    opened = SqliteStorage(tmp_path / "kv.sqlite", busy_timeout_seconds=3600)
    await opened.open()
    other = apsw.Connection(str(tmp_path / "kv.sqlite"))
    other.execute("BEGIN IMMEDIATE")
    await opened.probe()
    await opened.probe()
    other.execute("COMMIT")
    while opened._probing is not None:
        await opened.probe()
    await opened.close()

    monkeypatch.setattr(storage, "PROBE_SECONDS", 3600)
    opened = SqliteStorage(tmp_path / "kv.sqlite", busy_timeout_seconds=0)
    await opened.open()
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable) as caught:
        await opened.probe()
    assert caught.value.kind is StorageFailure.BUSY
    other.close()
    await opened.probe()
    await opened.close()


async def test_a_network_file_system_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = SqliteStorage(tmp_path / "kv.sqlite")
    await opened.open()
    assert await opened.warnings() == []
    monkeypatch.setattr("workertown_kv.storage.sqlite.disk.file_system", lambda _: "nfs4")
    (warning,) = await opened.warnings()
    assert "nfs4" in warning
    await opened.close()


def test_the_file_system_of_a_file_is_found() -> None:
    assert file_system(Path("/proc/self/stat")) == "proc"


# The log


async def test_a_log_that_cannot_start_again_causes_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(write_ahead_log, "LOG_WARNING_BYTES", 1_000_000)
    monkeypatch.setattr(write_ahead_log, "_SHORT_SECONDS", 0)
    opened = SqliteStorage(tmp_path / "kv.sqlite")
    await opened.open()
    await opened.set(put("a", b"x" * 5_000_000))
    await opened.set(put("a", b"y" * 5_000_000))
    assert caplog.messages == []
    with apsw.Connection(str(tmp_path / "kv.sqlite")) as reader:
        reader.execute("SELECT * FROM entry").fetchone()
        for _ in range(4):
            await opened.set(put("a", b"z" * 5_000_000))
    reader.close()
    assert [one.levelno for one in caplog.records] == [logging.WARNING]
    assert f"{tmp_path / 'kv.sqlite-wal'} has grown to" in caplog.messages[0]
    await opened.close()


# Locks


async def test_each_write_waits_for_its_own_time(tmp_path: Path) -> None:
    opened = SqliteStorage(tmp_path / "kv.sqlite", busy_timeout_seconds=0.2)
    await opened.open()
    allowed: list[tuple[int, float]] = []
    commit = opened._commits._commit
    entered = threading.Event()

    def watched(jobs: list[Job], until: float, started: Any) -> object:
        allowed.append((len(jobs), until))
        entered.set()
        return commit(jobs, until, started)

    opened._commits._commit = watched  # type: ignore[assignment]  # the test watches commits
    other = apsw.Connection(str(tmp_path / "kv.sqlite"))
    other.execute("BEGIN IMMEDIATE")
    writes = [asyncio.create_task(opened.set(put("first")))]
    await asyncio.to_thread(entered.wait)
    loop = asyncio.get_running_loop()
    earliest = loop.time() + 0.2
    writes += [asyncio.create_task(opened.set(put(str(i)))) for i in range(3)]
    await asyncio.sleep(0)
    latest = loop.time() + 0.2
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [getattr(one, "kind", one) for one in outcomes] == [StorageFailure.BUSY] * 4
    # The writes behind the first one have waited since before it gave up.
    assert earliest <= allowed[1][1] <= latest
    other.close()
    await opened.set(put("a"))
    await opened.close()


async def test_a_write_that_may_wait_longer_is_tried_again(tmp_path: Path) -> None:
    opened = SqliteStorage(tmp_path / "kv.sqlite", busy_timeout_seconds=3600)
    await opened.open()
    commit = opened._commits._commit
    sizes: list[int] = []

    def busy_once(jobs: list[Job], until: float, started: Any) -> object:
        sizes.append(len(jobs))
        if len(sizes) == 1:
            raise StorageUnavailable("busy", StorageFailure.BUSY)
        return commit(jobs, until, started)

    opened._commits._start = lambda _: None  # as if another connection had the lock
    opened._commits._commit = busy_once  # type: ignore[assignment]  # the test watches commits
    writes = [opened.set(put(str(i))) for i in range(4)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(one) for one in outcomes] == [StorageUnavailable, str, str, str]
    assert sizes == [4, 3]  # all that were submitted in one turn of the event loop are a group
    await opened.close()
