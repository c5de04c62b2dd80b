"""SIGHUP: files with credentials are read anew, and a broken one changes nothing."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from workertown_kv.testing import ServedStore


def line(name: str, key: str) -> str:
    return f'{{"name": "{name}", "api_key": "{key}"}}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.jsonl"
    path.write_text(line("old", "the-old-key"))
    return path


@pytest.fixture
def store(file: Path, tmp_path: Path) -> Iterator[ServedStore]:
    env = {"KV_API_KEYS_FILE": str(file)}
    with ServedStore(tmp_path / "kv.sqlite", env=env) as served:
        yield served


def status(store: ServedStore, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.get(f"{store.url}/v1/kv", headers=headers).status_code


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def test_new_keys_are_let_in_and_removed_ones_are_not(store: ServedStore, file: Path) -> None:
    assert (status(store, "the-old-key"), status(store, "the-new-key")) == (200, 401)
    file.write_text(line("new", "the-new-key"))
    os.kill(store.pid, signal.SIGHUP)
    # For a moment the old workers and the new ones answer side by side.
    keys = ("the-old-key", "the-new-key") * 5
    wait_until(lambda: [status(store, key) for key in keys] == [401, 200] * 5)
    assert store.stop() == 0


def test_a_file_that_cannot_be_used_changes_nothing(store: ServedStore, file: Path) -> None:
    file.write_text('{"name": "new", "api_key": "s3cret", "expires": 1}\n')
    os.kill(store.pid, signal.SIGHUP)
    store.read_until("Not reloaded: There is no option")
    assert status(store, "the-old-key") == 200
    assert store.stop() == 0
    assert "s3cret" not in store.output


def test_a_database_that_cannot_be_opened_changes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "kv.toml"
    config.write_text("")
    args = ["--no-access-log", "--config", str(config)]
    nowhere = {"KV_OTHER_DB": str(tmp_path / "nowhere" / "kv.sqlite")}
    with ServedStore(tmp_path / "kv.sqlite", args=args, env=nowhere) as store:
        config.write_text('env.database = "KV_OTHER_DB"')
        os.kill(store.pid, signal.SIGHUP)
        store.read_until("Not reloaded: There is no folder")
        assert status(store, "test-key") == 200
        assert store.stop() == 0
