"""Test `workertown-kv copy` and `workertown-kv backup`."""

import fcntl
import json
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from click.testing import Result
from redis import Redis

from servers.redis import RunningRedis
from servers.small_disk import small_disk
from workertown_kv.errors import StorageError, StorageUnsupported
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.storage.sqlite.backup import copy_file

Interrupt = Callable[[], None]
Invoke = Callable[..., Result]


@pytest.fixture
def filled(invoke: Invoke, tmp_path: Path) -> Path:
    """Fill `kv.sqlite` with entries of two namespaces, and return its folder."""
    assert invoke("set", "theme", "dark").exit_code == 0
    assert invoke("namespace", "create", "photos", "--database", "kv.sqlite").exit_code == 0
    assert invoke("set", "p", "5", "--namespace", "photos").exit_code == 0
    return tmp_path


def test_a_copy_has_the_entries_of_all_namespaces(invoke: Invoke, filled: Path) -> None:
    copied = invoke("copy", "kv.sqlite", "to.sqlite")
    assert copied.exit_code == 0
    assert "Copied 2 entries in" in copied.stderr
    assert invoke("get", "theme", "--store", "to.sqlite").stdout == '"dark"'
    assert invoke("get", "p", "--store", "to.sqlite", "--namespace", "photos").stdout == "5"
    assert invoke("copy", "kv.sqlite", "to.sqlite", "--on-conflict", "fail").exit_code == 1


def test_a_copy_may_be_of_one_namespace_into_another(invoke: Invoke, filled: Path) -> None:
    flags = ("--namespace", "photos", "--to-namespace", "default")
    assert (
        "Would copy 1 entry" in invoke("copy", "kv.sqlite", "kv.sqlite", *flags, "--dry-run").stderr
    )
    assert invoke("get", "p").exit_code == 3
    assert "Copied 1 entry" in invoke("copy", "kv.sqlite", "kv.sqlite", *flags).stderr
    assert invoke("get", "p").stdout == "5"
    ambiguous = invoke("copy", "kv.sqlite", "kv.sqlite", "--to-namespace", "default")
    assert ambiguous.exit_code == 1
    assert "There are entries of the namespaces 'default' and 'photos'" in ambiguous.stderr


def test_a_later_copy_takes_what_has_changed_since(invoke: Invoke, filled: Path) -> None:
    position = invoke("copy", "kv.sqlite", "to.sqlite").stdout.strip()
    invoke("set", "new", "1")
    invoke("set", "p", "6", "--namespace", "photos")
    invoke("delete", "theme")
    invoke("set", "kept", "1", "--store", "to.sqlite")
    since = invoke("copy", "kv.sqlite", "to.sqlite", "--since", position)
    assert since.exit_code == 0
    assert "Copied 2 entries that changed, and deleted 1 in" in since.stderr
    listed = invoke("list", "--store", "to.sqlite").stdout
    assert listed.split() == ["kept", "new"]
    assert invoke("get", "p", "--store", "to.sqlite", "--namespace", "photos").stdout == "6"
    again = invoke("copy", "kv.sqlite", "to.sqlite", "--since", since.stdout.strip())
    assert "Copied 0 entries that changed, and deleted 0 in" in again.stderr
    wrong = invoke("copy", "kv.sqlite", "to.sqlite", "--since", "yesterday")
    assert wrong.exit_code != 0
    assert wrong.stderr.count("\n") == 1


def test_a_copy_of_a_database_without_changes_prints_no_position(
    invoke: Invoke, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def changes(*_: object) -> None:
        raise StorageUnsupported("No changes are recorded")

    monkeypatch.setattr(SqliteStorage, "changes", changes)
    copied = invoke("copy", "kv.sqlite", "to.sqlite")
    assert (copied.exit_code, copied.stdout) == (0, "")
    assert "Copied 2 entries in" in copied.stderr


def test_a_wrong_source_makes_no_target(invoke: Invoke, filled: Path) -> None:
    for wrong in (
        ("missing.sqlite",),
        ("",),
        ("ftp://x",),
        ("kv.sqlite", "--namespace", "nope"),
        ("kv.sqlite", "--to-namespace", "nope"),
        ("kv.sqlite", "--since", "yesterday"),
        ("kv.sqlite", "--plain-keys"),
        ("redis://127.0.0.1:1", "--plain-keys"),
    ):
        source, *flags = wrong
        assert invoke("copy", source, "to.sqlite", *flags).exit_code != 0
        assert not (filled / "to.sqlite").exists()


def test_a_store_is_not_copied_into_itself(invoke: Invoke, filled: Path) -> None:
    (filled / "link.sqlite").symlink_to("kv.sqlite")
    for same in ("kv.sqlite", "./kv.sqlite", "sqlite:///kv.sqlite", "link.sqlite"):
        ended = invoke("copy", "kv.sqlite", same)
        assert ended.exit_code == 2
        assert "FROM and TO are the same store" in ended.stderr


@pytest.fixture(scope="module")
def plain_redis(
    require_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRedis]:
    program = require_program("redis-server", "redis-server")
    with RunningRedis(program, tmp_path_factory.mktemp("redis")) as running:
        yield running


def test_a_copy_reads_the_string_keys_of_another_redis(
    invoke: Invoke, tmp_path: Path, plain_redis: RunningRedis
) -> None:
    with Redis.from_url(plain_redis.url) as redis:
        redis.set("user:1", '{"name": "Ada"}')
        redis.set("session", "s3ss10n", ex=1000)
        redis.set(b"not\xffutf-8", "1")
        redis.rpush("queue", "a")
        redis.set("deep", "[" * 600 + "]" * 600)
        for number in range(1500):
            redis.set(f"n:{number}", number)
    copied = invoke("copy", plain_redis.url, "to.sqlite", "--plain-keys")
    assert copied.exit_code == 0
    assert "Copied 1,503 entries, left out 1 whose keys are not UTF-8 in" in copied.stderr
    assert invoke("get", "user:1", "--store", "to.sqlite").stdout == '{"name": "Ada"}'
    assert invoke("get", "session", "--store", "to.sqlite").stdout == "s3ss10n"
    assert invoke("export", "all.ndjson", "--store", "to.sqlite").exit_code == 0
    assert invoke("import", "all.ndjson", "--store", "again.sqlite").exit_code == 0
    with sqlite3.connect(tmp_path / "to.sqlite") as db:
        ((left,),) = db.execute(
            "SELECT expires_at - unixepoch() FROM entry WHERE key = 'session'"
        ).fetchall()
        assert 900 < left <= 1001
        assert db.execute("SELECT count(*) FROM entry WHERE expires_at > 0").fetchone() == (1,)
    db.close()


def test_a_redis_that_does_not_answer_is_one_line(invoke: Invoke) -> None:
    ended = invoke("copy", "redis://127.0.0.1:1", "to.sqlite", "--plain-keys")
    assert ended.exit_code == 5
    assert "Error: Redis does not answer: " in ended.stderr
    refused = invoke("copy", "redis://127.0.0.1:1", "to.sqlite", "--plain-keys", "--namespace", "a")
    assert refused.exit_code == 2


def test_a_backup_ends_and_is_whole_while_others_write(invoke: Invoke, filled: Path) -> None:
    stop, written = threading.Event(), threading.Event()

    def write() -> None:
        # By the SQLite of the command, which runs in this process: two would lose their locks.
        db = apsw.Connection(str(filled / "kv.sqlite"))
        db.set_busy_timeout(60_000)
        number = 0
        while not stop.is_set() and number < 100_000:
            number += 1
            db.execute(
                "INSERT INTO entry (namespace, key, version, value) VALUES ('default', ?, ?, '1')",
                (f"w{number}", str(number)),
            )
            if number == 100:
                written.set()
        db.close()

    writing = threading.Thread(target=write)
    writing.start()
    try:
        assert written.wait(60)
        backed_up = invoke("backup", "backup.sqlite")
    finally:
        stop.set()
        writing.join()
    assert backed_up.exit_code == 0
    assert "backup.sqlite" in backed_up.stderr
    db = sqlite3.connect(filled / "backup.sqlite")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert db.execute("SELECT count(*) FROM entry WHERE key LIKE 'w%'").fetchone()[0] >= 100
    db.close()
    assert invoke("get", "theme", "--store", "backup.sqlite").stdout == '"dark"'
    assert not (filled / "backup.sqlite.part").exists()


def test_a_position_in_the_changes_of_a_store_is_not_one_in_its_backup(
    invoke: Invoke, filled: Path
) -> None:
    position = invoke("copy", "kv.sqlite", "to.sqlite").stdout.strip()
    assert invoke("backup", "backup.sqlite").exit_code == 0
    logs = {position.partition(".")[0]}
    for store in ("backup.sqlite", "restored.sqlite"):
        assert invoke("backup", "restored.sqlite", "--store", "backup.sqlite").exit_code == 0
        assert invoke("set", "new", "1", "--store", store).exit_code == 0
        gone = invoke("copy", store, "other.sqlite", "--since", position)
        assert gone.exit_code == 1
        assert "no longer kept" in gone.stderr
        logs.add(invoke("copy", store, "other.sqlite").stdout.partition(".")[0])
    assert len(logs) == 3, "each file has its own log"
    since = invoke("copy", "kv.sqlite", "to.sqlite", "--since", position)
    assert since.exit_code == 0, "the store itself keeps its log"


def test_a_backup_of_a_store_without_changes_has_none(filled: Path, invoke: Invoke) -> None:
    with sqlite3.connect(filled / "kv.sqlite") as db:
        db.execute("UPDATE change_log SET log = NULL")
    db.close()
    assert invoke("backup", "backup.sqlite").exit_code == 0
    db = sqlite3.connect(filled / "backup.sqlite")
    assert db.execute("SELECT log FROM change_log").fetchall() == [(None,)]
    db.close()


def test_a_backup_does_not_disturb_another_backup(invoke: Invoke, filled: Path) -> None:
    part = filled / "backup.sqlite.part"
    part.write_text("what another backup has written")
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        refused = invoke("backup", "backup.sqlite")
        assert refused.exit_code == 1
        assert refused.stderr.startswith("Error: Another process is writing backup.sqlite.part")
        assert part.read_text() == "what another backup has written"
    assert invoke("backup", "backup.sqlite").exit_code == 0
    assert not list(filled.glob("kv.sqlite-*"))
    assert invoke("get", "theme", "--store", "backup.sqlite").stdout == '"dark"'


def test_a_backup_is_only_of_an_sqlite_file_of_a_store(invoke: Invoke, filled: Path) -> None:
    sqlite3.connect(filled / "other.sqlite").execute("CREATE TABLE other (a)").connection.close()
    (filled / "folder").mkdir()
    os.mkfifo(filled / "pipe")
    for arguments, message in (
        (("x", "--store", "redis://127.0.0.1:1"), "The store is no SQLite file"),
        (("x", "--store", "missing.sqlite"), "There is no file"),
        (("x", "--store", "other.sqlite"), "is the database of another application"),
        (("kv.sqlite",), "kv.sqlite is the store itself"),
        (("missing/x",), "missing/x"),
        (("kv.sqlite/x/y",), "Cannot write kv.sqlite/x/y"),
        (("n" * 300,), "File name too long"),
        ((".",), "Cannot write .: it is a folder; expected the path of a file"),
        (("folder",), "Cannot write folder: it is a folder; expected the path of a file"),
        (("pipe",), "Cannot write pipe: it is a pipe or a device; expected the path of a file"),
    ):
        ended = invoke("backup", *arguments)
        assert ended.exit_code == 1
        assert message in ended.stderr
        assert ended.stderr.count("\n") == 1
    assert not list(filled.glob("*.part"))
    assert (filled / "pipe").is_fifo()
    assert not list(filled.glob("*-wal")) + list(filled.glob("*-shm"))
    assert json.loads(invoke("get", "theme").stdout) == "dark"


def test_a_full_disk_ends_each_command_with_one_line(
    invoke: Invoke, filled: Path, tmp_path: Path
) -> None:
    assert invoke("set", "big", "-", input=b"x" * 3_000_000).exit_code == 0
    assert invoke("export", "big.ndjson").exit_code == 0
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", megabytes=2) as disk:
        exported = invoke("export", disk / "x.ndjson")
        assert exported.exit_code == 1
        assert "x.ndjson.part: No space left on device" in exported.stderr
        backed_up = invoke("backup", disk / "x.sqlite")
        assert backed_up.exit_code != 0
        assert "x.sqlite.part: There is no space left" in backed_up.stderr
        assert not list(disk.iterdir())
        assert not list(tmp_path.glob("kv.sqlite-*"))
        imported = invoke("import", "big.ndjson", "--store", disk / "kv.sqlite")
        assert imported.exit_code != 0
        assert "There is no space left" in imported.stderr
        for ended in (exported, backed_up):
            assert ended.stderr.count("\n") == 1


def test_others_may_read_a_copy_only_if_they_may_read_what_it_is_of(
    invoke: Invoke, filled: Path
) -> None:
    def mode(name: str) -> int:
        return stat.S_IMODE((filled / name).stat().st_mode)

    (filled / "kv.sqlite").chmod(0o440)
    for name in ("backup.sqlite", "a.ndjson"):
        (filled / f"{name}.part").write_text("left by a kill")
        (filled / f"{name}.part").chmod(0o666)
    assert invoke("backup", "backup.sqlite").exit_code == 0
    assert mode("backup.sqlite") == 0o440
    assert invoke("export", "new.ndjson").exit_code == 0
    (filled / "a.ndjson").touch(0o600)
    (filled / "a.ndjson").chmod(0o600)
    assert invoke("export", "a.ndjson").exit_code == 0
    assert mode("a.ndjson") == 0o600
    (filled / "made").touch()
    assert mode("new.ndjson") == mode("made"), "as the umask permits"


def test_ctrl_c_ends_a_backup_at_once_and_leaves_nothing(
    invoke: Invoke, filled: Path, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    copied: list[object] = []

    def copy(source: Path, to: Path, stop: threading.Event) -> None:
        begun.set()
        copied.append(stop.wait(60))
        raise StorageError("It was stopped")

    def interrupt_the_copy() -> None:
        begun.wait(60)
        interrupt()

    monkeypatch.setattr("workertown_kv.cli.moving.backup.copy_file", copy)
    interrupting = threading.Thread(target=interrupt_the_copy)
    interrupting.start()
    ended = invoke("backup", "backup.sqlite")
    interrupting.join()
    assert (ended.exit_code, copied, ended.stderr) == (130, [True], "")
    assert not list(filled.glob("backup.sqlite*"))


def test_a_copy_of_a_file_can_be_stopped(filled: Path) -> None:
    with sqlite3.connect(filled / "kv.sqlite") as db:
        db.execute("CREATE TABLE many (n, text)")
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000)"
        db.execute(f"INSERT INTO many {numbers} SELECT i, hex(randomblob(40)) FROM n")
    db.close()
    stop = threading.Event()
    stop.set()
    with pytest.raises(StorageError, match="Cannot write"):
        copy_file(filled / "kv.sqlite", filled / "to.sqlite", stop)
