"""Test `kill -9` under load: acknowledged writes stay, and the file is sound."""

import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Semaphore

import httpx2
import pytest
from hypothesis import settings

from programs import report_missing
from workertown_kv.testing import ServedStore

ROUNDS = max(1, settings().max_examples // 40)
"""One, and five in `make test-all`."""
WRITERS = 8
KEYS_PER_WRITER = 4
SQLITE_SHELL = shutil.which("sqlite3")

Write = Callable[[httpx2.Client, Sequence[str], int], None]


@dataclass
class History:
    """The history of one key. It has only one writer, so numbers only grow."""

    attempted: int = 0
    acknowledged: int = 0
    version: str | None = None


Histories = dict[str, History]


@pytest.fixture
def histories() -> Histories:
    return {key: History() for writer in range(WRITERS) for key in keys_of(writer)}


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.deep), 2])
def test_every_acknowledged_write_survives_kill_9(
    tmp_path: Path, histories: Histories, workers: int
) -> None:
    def write(client: httpx2.Client, keys: Sequence[str], turn: int) -> None:
        key = keys[turn % len(keys)]
        history = histories[key]
        history.attempted += 1
        answer = client.put(f"/v1/kv/{key}", json={"value": numbered(history.attempted)})
        assert answer.status_code == 200, answer.text
        history.acknowledged, history.version = history.attempted, answer.headers["etag"]

    for _ in rounds(tmp_path / "kv.sqlite", histories, workers, write):
        pass


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.deep), 2])
def test_an_atomic_batch_is_whole_or_absent_after_kill_9(
    tmp_path: Path, histories: Histories, workers: int
) -> None:
    def write(client: httpx2.Client, keys: Sequence[str], turn: int) -> None:
        mine = [histories[key] for key in keys]
        for history in mine:
            history.attempted += 1
        value = numbered(mine[0].attempted)
        sets = [{"op": "set", "key": key, "value": value} for key in keys]
        answer = client.post("/v1/kv", json={"atomic": True, "operations": sets})
        assert answer.status_code == 200, answer.text
        for history, done in zip(mine, answer.json()["data"], strict=True):
            history.acknowledged, history.version = history.attempted, f'"{done["version"]}"'

    for _ in rounds(tmp_path / "kv.sqlite", histories, workers, write):
        for writer in range(WRITERS):
            numbers = {histories[key].acknowledged for key in keys_of(writer)}
            assert len(numbers) == 1, f"The batch of writer {writer} is half there: {numbers}"


def rounds(database: Path, histories: Histories, workers: int, write: Write) -> Iterator[None]:
    """Let writers write until a kill, and check the entries and the file, in each round."""
    with served(database, workers) as server:
        for _ in range(ROUNDS):
            write_until_killed(server, write)
            server.start()
            read_back(server, histories)
            check_integrity(database)
            yield
    say_whether_integrity_was_checked()


def keys_of(writer: int) -> list[str]:
    return [f"writer {writer}/{index}" for index in range(KEYS_PER_WRITER)]


def numbered(number: int) -> dict[str, object]:
    """Return a value that shows its write, of a few bytes up to several pages."""
    return {"number": number, "text": "größer " * (number * 37 % 1500)}


def served(database: Path, workers: int) -> ServedStore:
    return ServedStore(database, args=["--no-access-log", "--workers", str(workers)])


def write_until_killed(server: ServedStore, write: Write) -> None:
    """Let all writers write at once, and kill the server at a random moment."""
    acknowledged = Semaphore(0)

    def keep_writing(writer: int) -> None:
        keys, turn = keys_of(writer), 0
        with server.client() as client:
            try:
                while True:
                    write(client, keys, turn)
                    acknowledged.release()
                    turn += 1
            except httpx2.TransportError:
                return

    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(keep_writing, writer) for writer in range(WRITERS)]
        try:
            for _ in range(random.randrange(50, 200)):
                assert acknowledged.acquire(timeout=30), "Nobody gets anything written"
        finally:
            server.kill()
        for ended in writers:
            ended.result()


def read_back(server: ServedStore, histories: Histories) -> None:
    """Check that each key has its last acknowledged write, or the write that was under way.

    Whichever it is, it has now been read, so it must also be there after the next kill.
    """
    with server.client() as client:
        for key, history in histories.items():
            answer = client.get(f"/v1/kv/{key}")
            if answer.status_code == 404:
                assert history.acknowledged == 0, f"{key} is lost: {history}"
                history.attempted = 0
                continue
            assert answer.status_code == 200, answer.text
            value, version = answer.json()["data"], answer.headers["etag"]
            number = value["number"]
            assert number in (history.acknowledged, history.attempted), (key, history)
            assert value == numbered(number)
            if number == history.acknowledged:
                assert version == history.version
            history.acknowledged = history.attempted = number
            history.version = version


def check_integrity(database: Path) -> None:
    """Run a query in SQLite's own shell, which knows nothing of this package."""
    if SQLITE_SHELL is not None:
        checked = subprocess.run(
            [SQLITE_SHELL, "-readonly", database, "PRAGMA integrity_check"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (checked.stdout, checked.stderr) == ("ok\n", "")


def say_whether_integrity_was_checked() -> None:
    if SQLITE_SHELL is None:
        report_missing("PRAGMA integrity_check needs sqlite3: apt-get install sqlite3")
