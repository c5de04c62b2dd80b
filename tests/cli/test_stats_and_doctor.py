"""Test `workertown-kv stats` and `workertown-kv doctor`."""

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import Result

from workertown_kv.errors import StorageError, StorageFailure, StorageUnavailable
from workertown_kv.namespaces import Namespace, Namespaces
from workertown_kv.operations import Set
from workertown_kv.storage import Figures
from workertown_kv.storage.sqlite import SqliteStorage

Invoke = Callable[..., Result]


async def expire(path: Path) -> None:
    storage = SqliteStorage(path, clock=lambda: 1000.0)
    await storage.open()
    await storage.set(Set(namespace="default", key="dead", value=b"1", expires_at=1001))
    await storage.close()


@pytest.fixture
def store(invoke: Invoke, tmp_path: Path) -> Invoke:
    """Make a store with two namespaces and an expired entry."""
    invoke("set", "a", '"12"')
    invoke("set", "b", "--bytes", "12345")
    asyncio.run(expire(tmp_path / "kv.sqlite"))
    invoke("namespace", "create", "staging", "--database", "kv.sqlite")
    invoke("set", "c", "1", "--namespace", "staging")
    return invoke


def rows(ended: Result) -> Sequence[Sequence[str]]:
    """Return the columns after the id."""
    assert ended.exit_code == 0, ended.stderr
    return sorted(line.split("\t")[1:] for line in ended.stdout.splitlines())


def test_the_engine_counts_entries_and_bytes_by_namespace(store: Invoke) -> None:
    # The entries of the server itself are not among them.
    assert rows(store("stats")) == [["default", "2", "9", "1"], ["staging", "1", "1", "0"]]
    first, _ = store("stats", "--json").stdout.splitlines()
    assert json.loads(first) == {
        "namespace": "0" * 32,
        "title": "default",
        "entries": 2,
        "value_bytes": 9,
        "expired": 1,
    }


@pytest.mark.parametrize("name", ["default", "0" * 32, "staging"])
@pytest.mark.parametrize("source", ["flag", "variable", "profile"])
def test_only_the_namespace_that_is_named_is_counted(
    store: Invoke, tmp_path: Path, name: str, source: str
) -> None:
    database = str(tmp_path / "kv.sqlite")
    if source == "flag":
        counted = store("stats", "--namespace", name)
    elif source == "variable":
        counted = store("stats", KV_NAMESPACE=name)
    else:
        profiles = {"profiles": {"p": {"store": database, "namespace": name}}}
        file = tmp_path / "config" / "profiles.json"
        file.parent.mkdir(exist_ok=True)
        file.touch(0o600)
        file.write_text(json.dumps(profiles))
        counted = store("stats", "--profile", "p")
    of_default, of_staging = ["default", "2", "9", "1"], ["staging", "1", "1", "0"]
    assert rows(counted) == [of_staging if name == "staging" else of_default]


async def no_figures(_: SqliteStorage) -> None:
    return None


async def late_figures(_: SqliteStorage) -> Sequence[Figures]:
    raise StorageUnavailable("late")


@pytest.mark.parametrize("figures", [no_figures, late_figures])
def test_without_figures_of_the_engine_entries_are_listed(
    store: Invoke, monkeypatch: pytest.MonkeyPatch, figures: object
) -> None:
    monkeypatch.setattr(SqliteStorage, "figures", figures)
    monkeypatch.setattr("workertown_kv.cli.counting.PAGE_KEYS", 1)
    assert rows(store("stats")) == [["default", "2", "-", "-"], ["staging", "1", "-", "-"]]
    assert rows(store("stats", "--bytes"))[0] == ["default", "2", "9", "-"]


def test_without_the_right_to_list_namespaces_only_the_chosen_one_is_counted(
    store: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Namespaces) -> list[Namespace]:
        raise StorageError("no admin", StorageFailure.REFUSED)

    monkeypatch.setattr(Namespaces, "all", refuse)
    assert rows(store("stats")) == [["default", "2", "9", "1"]]


def test_a_doctor_finds_a_store_in_order(store: Invoke) -> None:
    ended = store("doctor")
    lines = ended.stdout.splitlines()
    assert ended.exit_code == 0
    assert all(line.startswith("ok    ") for line in lines)
    for said in (
        "kv.sqlite answers",
        "schema is up to date",
        "can be written",
        "of space left",
        "backup FILE",
        "Entries: 3; namespaces: 2; expired entries that still take space: 1",
    ):
        assert sum(said in line for line in lines) == 1


def test_a_doctor_makes_no_database(invoke: Invoke, tmp_path: Path) -> None:
    ended = invoke("doctor")
    assert ended.exit_code == 1
    assert ended.stdout.startswith("fail  kv.sqlite cannot be used: There is no database")
    assert list(tmp_path.iterdir()) == []


def test_a_doctor_names_what_is_wrong(store: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: SqliteStorage) -> None:
        raise StorageError("The disk is full", StorageFailure.FULL)

    async def warn(_: SqliteStorage) -> Sequence[str]:
        return ["The clock is wrong."]

    class Usage(NamedTuple):
        total: int = 1000
        used: int = 990
        free: int = 10

    monkeypatch.setattr(SqliteStorage, "probe", fail)
    monkeypatch.setattr(SqliteStorage, "warnings", warn)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage())
    ended = store("doctor", KV_OPTIONS__CHANGES="false")
    assert ended.exit_code == 1
    bad = [line for line in ended.stdout.splitlines() if not line.startswith("ok")]
    assert bad == [
        "fail  Entries cannot be written: The disk is full",
        "warn  The disk has 0.0 GiB of space left (1%); the file has 0.0 MiB",
        "warn  The clock is wrong",
        "warn  No changes are kept, so `watch` does not work",
    ]


def test_a_doctor_of_a_store_that_is_away_ends_with_5(store: Invoke) -> None:
    ended = store("doctor", "--store", "redis://user:s3cret@127.0.0.1:1")
    (line,) = ended.stdout.splitlines()
    assert line.startswith("fail  redis://…@127.0.0.1:1 does not answer: ")
    assert ended.exit_code == 5
    assert "s3cret" not in ended.output
