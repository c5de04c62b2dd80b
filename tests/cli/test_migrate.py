"""Test `workertown-kv migrate`."""

import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

from workertown_kv.storage.sqlite.schema import MIGRATIONS

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_migrate_makes_the_database_and_lists_what_ran(run: Run, tmp_path: Path) -> None:
    ended = run("migrate", "--database", tmp_path / "kv.sqlite")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [f"{name} up: executed" for name in MIGRATIONS]
    assert schema_version(tmp_path / "kv.sqlite") == len(MIGRATIONS)


def test_migrating_again_changes_nothing_and_says_so(run: Run, tmp_path: Path) -> None:
    database = tmp_path / "kv.sqlite"
    run("migrate", "--database", database)
    run("set", "kept", "as it was", KV_STORE=str(database))
    for _ in range(2):
        ended = run("migrate", "--database", database)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == "Nothing to do: the schema is up to date\n"
    assert run("get", "kept", KV_STORE=str(database)).stdout == '"as it was"'


def test_migrate_takes_the_database_from_the_environment(run: Run, tmp_path: Path) -> None:
    assert run("migrate", KV_DB=str(tmp_path / "named.sqlite")).returncode == 0
    assert [file.name for file in tmp_path.iterdir()] == ["named.sqlite"]


def test_migrate_without_a_database_takes_the_default(run: Run, tmp_path: Path) -> None:
    assert run("migrate").returncode == 0
    assert schema_version(tmp_path / "kv.sqlite") == len(MIGRATIONS)


def schema_version(database: Path) -> int:
    db = sqlite3.connect(database)
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    db.close()
    return version


def test_a_migration_can_be_undone_and_run_again(run: Run, tmp_path: Path) -> None:
    database = tmp_path / "kv.sqlite"
    run("migrate", "--database", database)
    assert run("set", "gone", "1", KV_STORE=str(database)).returncode == 0
    asked = run("migrate", "--database", database, "--to", "0")
    assert asked.returncode == 1
    assert "deletes their data" in asked.stderr
    assert schema_version(database) == len(MIGRATIONS)
    ended = run("migrate", "--database", database, "--to", "0", "--yes")
    assert ended.stdout.splitlines() == [f"{name} down: executed" for name in reversed(MIGRATIONS)]
    assert schema_version(database) == 0
    run("migrate", "--database", database)
    assert run("get", "gone", KV_STORE=str(database)).returncode == 3
    assert run("set", "again", "1", KV_STORE=str(database)).returncode == 0


def test_more_migrations_than_there_are_cannot_be_run(run: Run, tmp_path: Path) -> None:
    database = tmp_path / "kv.sqlite"
    run("migrate", "--database", database)
    ended = run("migrate", "--database", database, "--to", str(len(MIGRATIONS) + 1), "--yes")
    assert ended.returncode == 1
    assert f"There are {len(MIGRATIONS)} migrations" in ended.stderr
