"""Test `workertown-kv watch`."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import Result

from workertown_kv.changes import Interest, Published
from workertown_kv.cli.entries.following import Seen, Signal, Watch, follow
from workertown_kv.errors import CursorGone, InputError, KvError, StorageUnavailable
from workertown_kv.operations import ChangePage, ReadChanges, Set
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage

Invoke = Callable[..., Result]

EVERYTHING = Interest("default", ("",))


async def now(path: Path) -> str:
    storage = SqliteStorage(path)
    await storage.open()
    page = await storage.changes(ReadChanges(None))
    await storage.close()
    return page.cursor


@pytest.fixture
def changed(invoke: Invoke, tmp_path: Path) -> str:
    """Make some changes, and return the cursor before them."""
    invoke("set", "old", "0")
    cursor = asyncio.run(now(tmp_path / "kv.sqlite"))
    invoke("set", "a/1", '{"x":\n 1}', "--metadata", '{"b": 1}')
    invoke("set", "b", "2")
    invoke("touch", "a/1", "--expires-at", "9999999999")
    invoke("set", "a/bytes", "--bytes", "\x01")
    invoke("delete", "b")
    return cursor


def test_each_change_is_a_line(invoke: Invoke, changed: str) -> None:
    ended = invoke("watch", "--since", changed, "--limit", "5")
    assert ended.exit_code == 0
    assert ended.stdout == "set\ta/1\nset\tb\ntouch\ta/1\nset\ta/bytes\ndelete\tb\n"
    args = ("--values", "--prefix", "a/", "--limit", "3")
    lines = invoke("watch", "--since", changed, *args).stdout
    assert lines == 'set\ta/1\t{"x":  1}\ntouch\ta/1\t{"x":  1}\nset\ta/bytes\t(1 bytes)\n'


def test_a_watch_goes_on_after_the_cursor_of_a_line(invoke: Invoke, changed: str) -> None:
    args = ("--json", "--values")
    first = json.loads(invoke("watch", *args, "--since", changed, "--limit", "1").stdout)
    cursor = first.pop("cursor")
    assert first.pop("version")
    assert first == {"event": "set", "key": "a/1", "metadata": {"b": 1}, "value": {"x": 1}}
    rest = invoke("watch", *args, "--since", cursor, "--limit", "4").stdout.splitlines()
    assert [json.loads(line)["event"] for line in rest] == ["set", "touch", "set", "delete"]
    assert json.loads(rest[2])["base64"] == "AQ=="


@pytest.mark.usefixtures("changed")
def test_all_entries_may_come_first(invoke: Invoke) -> None:
    lines = invoke("watch", "--initial", "--values", "--limit", "4").stdout.splitlines()
    assert lines == ['set\ta/1\t{"x":  1}', "set\ta/bytes\t(1 bytes)", "set\told\t0", "ready"]


def test_a_watch_says_what_is_wrong(invoke: Invoke, changed: str) -> None:
    ended = invoke("watch", "--initial", "--since", changed)
    assert (ended.exit_code, "exclude each other" in ended.stderr) == (2, True)
    ended = invoke("watch", "--since", "nonsense")
    assert (ended.exit_code, ended.stderr.count("\n")) == (2, 1)
    ended = invoke("watch", KV_OPTIONS__CHANGES="false")
    assert (ended.exit_code, ended.stderr.count("\n")) == (1, 1)


class Failing(MemoryStorage):
    """Raises these errors before it reads changes."""

    def __init__(self, *errors: KvError) -> None:
        super().__init__()
        self.errors = list(errors)

    async def changes(self, operation: ReadChanges) -> ChangePage:
        if operation.since is not None and self.errors:
            raise self.errors.pop(0)
        return await super().changes(operation)


async def seen_after(storage: Failing) -> tuple[Sequence[Seen], list[KvError]]:
    """Follow a storage until a change is seen, and make the change after the failures."""
    failures: list[KvError] = []
    seen: list[Seen] = []
    await storage.open()
    async with asyncio.timeout(60):
        async for page in follow(storage, Watch(EVERYTHING), failures.append):
            seen += page
            if any(isinstance(one, Published) for one in seen):
                break
            if not seen and not failures:
                await storage.set(Set(namespace="default", key="a", value=b"1"))
            elif seen == [Signal.RESET] and not page:
                await storage.set(Set(namespace="default", key="b", value=b"1"))
    await storage.close()
    return seen, failures


def test_a_watch_goes_on_after_failures() -> None:
    storage = Failing(StorageUnavailable("a"), StorageUnavailable("b"))
    (seen,), failures = asyncio.run(seen_after(storage))
    assert isinstance(seen, Published)
    assert seen.change.key == "a"
    # An outage is said once.
    assert [error.message for error in failures] == ["a"]


@pytest.mark.parametrize("error", [CursorGone(), InputError("a restarted store knows no cursor")])
def test_changes_that_are_no_longer_kept_are_said_to_be_missed(error: KvError) -> None:
    (reset, seen), _ = asyncio.run(seen_after(Failing(error)))
    assert reset is Signal.RESET
    assert isinstance(seen, Published)
    assert seen.change.key == "b"


def test_a_failure_of_the_first_read_ends_the_watch() -> None:
    class Down(MemoryStorage):
        async def changes(self, operation: ReadChanges) -> ChangePage:
            raise StorageUnavailable("down")

    failures: list[KvError] = []

    async def read() -> None:
        async for _ in follow(Down(), Watch(EVERYTHING), failures.append):
            pass

    with pytest.raises(StorageUnavailable):
        asyncio.run(read())
    assert failures == []


@pytest.mark.usefixtures("changed")
def test_ctrl_c_ends_a_watch_in_silence(environment: dict[str, str], tmp_path: Path) -> None:
    # A shell starts background jobs with SIGINT ignored, and their children inherit that.
    with_interrupt = ["env", "--default-signal=INT"]
    watching = subprocess.Popen(
        [*with_interrupt, sys.executable, "-m", "workertown_kv", "watch", "--initial"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert watching.stdout is not None
    assert b"ready\n" in iter(watching.stdout.readline, b"")
    watching.send_signal(signal.SIGINT)
    assert watching.communicate(timeout=60) == (b"", b"")
    assert watching.returncode == 130
