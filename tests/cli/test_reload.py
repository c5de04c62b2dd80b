"""Test that SIGHUP reloads files with credentials, and that a broken file changes nothing."""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest

from waiting import wait_until
from workertown_kv.cli.worker import Flags, Worker
from workertown_kv.cli.workers import Workers, _Worker
from workertown_kv.files import Files
from workertown_kv.meters.board import Board
from workertown_kv.server.bounded_protocol import Bounds
from workertown_kv.server.metering import Metering
from workertown_kv.testing import ServedStore

FLAGS = Flags(
    host="127.0.0.1",
    port=1,
    uds=None,
    tls_cert=None,
    tls_key=None,
    workers=1,
    access_log=False,
    log_format="text",
    log_level="warning",
    client_seconds=30,
    drain_seconds=30,
    body_seconds=None,
)


def line(name: str, key: str) -> str:
    return f'{{"name": "{name}", "api_key": "{key}"}}\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reload")


@pytest.fixture(scope="module")
def file(folder: Path) -> Path:
    path = folder / "keys.jsonl"
    path.write_text(line("old", "the-old-key"))
    return path


@pytest.fixture(scope="module")
def config(folder: Path) -> Path:
    path = folder / "kv.toml"
    path.write_text("base_path = '/'")
    return path


@pytest.fixture(scope="module")
def store(file: Path, config: Path, folder: Path) -> Iterator[ServedStore]:
    env = {
        "KV_API_KEYS_FILE": str(file),
        "KV_CONFIG": str(config),
        "KV_OPTIONS__AUTH__FAILURE_SECONDS": "0",
    }
    args = ["--no-access-log", "--workers", "2"]
    with ServedStore(folder / "kv.sqlite", args=args, env=env) as served:
        yield served
        assert served.stop() == 0
    assert "s3cret" not in served.output


def status(store: ServedStore, key: str) -> int:
    """Send a request over a new connection, which any worker may accept."""
    connection = HTTPConnection("127.0.0.1", store.port, timeout=30)
    connection.request("GET", "/v1/kv", headers={"Authorization": f"Bearer {key}"})
    answered = connection.getresponse().status
    connection.close()
    return answered


def reload(store: ServedStore, file: Path, lines: str) -> None:
    """Give the server other API keys, besides that of its environment."""
    file.write_text(lines)
    os.kill(store.pid, signal.SIGHUP)
    store.read_until(f"Reloaded, with {1 + lines.count('name')} API keys")


def statuses(store: ServedStore, *keys: str) -> set[tuple[int, ...]]:
    """Send so many requests that each worker has answered."""
    return {tuple(status(store, key) for key in keys) for _ in range(20)}


def workers(store: ServedStore) -> set[int]:
    children = Path(f"/proc/{store.pid}/task/{store.pid}/children").read_text()
    return {int(child) for child in children.split()}


def test_each_worker_has_the_keys_that_were_accepted_last(
    store: ServedStore, file: Path, config: Path
) -> None:
    reload(store, file, line("old", "the-old-key"))
    file.write_text('{"name": "new", "api_key": "s3cret", "expires": 1}\n')
    os.kill(store.pid, signal.SIGHUP)
    store.read_until(f"Not reloaded: There is no option {file}, line 1: expires")
    file.write_text("")
    os.kill(store.pid, signal.SIGHUP)
    store.read_until(f"Not reloaded: {file} has no credentials")
    config.write_text("[")
    os.kill(store.pid, signal.SIGHUP)
    store.read_until(f"[ERROR] Not reloaded: {config} is not TOML")

    first = workers(store)
    for worker in first:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not first & workers(store))
    # Connections wait for the new workers, whichever of them they are for.
    assert statuses(store, "the-old-key", "s3cret") == {(200, 401)}

    config.write_text("")
    reload(store, file, line("new", "the-new-key") + line("other", "another-key"))
    assert statuses(store, "the-old-key", "the-new-key") == {(401, 200)}


def test_no_request_fails_while_files_are_reloaded(store: ServedStore, file: Path) -> None:
    reload(store, file, line("old", "the-old-key"))
    before = len(store.output)
    is_over = threading.Event()

    def keep_asking() -> set[int]:
        """Send requests over one connection, and over a new connection each time."""
        found = set()
        kept = HTTPConnection("127.0.0.1", store.port, timeout=30)
        while not is_over.is_set():
            found.add(status(store, "the-old-key"))
            kept.request("PUT", "/v1/kv/a", b"1", {"Authorization": "Bearer the-old-key"})
            with kept.getresponse() as answer:
                found.add(answer.status)
                answer.read()
        assert kept.sock is not None  # the server has not closed it
        kept.close()
        return found

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(keep_asking) for _ in range(3)]
        for number in range(2):
            reload(store, file, line("old", "the-old-key") + line("new", f"key-{number}"))
            assert statuses(store, f"key-{number}", f"key-{number - 1}") == {(200, 401)}
        is_over.set()
    reload(store, file, line("old", "the-old-key"))
    assert "ERROR" not in store.output[before:]
    assert set[int]().union(*(one.result() for one in asking)) == {200, 415}, store.output


def test_a_database_that_cannot_be_opened_changes_nothing(tmp_path: Path) -> None:
    config, folder = tmp_path / "kv.toml", tmp_path / "data"
    config.write_text("")
    folder.mkdir()
    args = ["--no-access-log", "--config", str(config)]
    nowhere = {"KV_OTHER_DB": str(tmp_path / "nowhere" / "kv.sqlite")}
    with ServedStore(folder / "kv.sqlite", args=args, env=nowhere) as store:
        config.write_text('env.database = "KV_OTHER_DB"')
        os.kill(store.pid, signal.SIGHUP)
        store.read_until("Not reloaded: There is no folder")
        assert status(store, "test-key") == 200
        # Nor does a worker that cannot open the storage end the server.
        folder.rename(tmp_path / "away")
        for worker in workers(store):
            os.kill(worker, signal.SIGKILL)
        store.read_until("A worker cannot open the storage, and will try again: There is no folder")
        (tmp_path / "away").rename(folder)
        wait_until(lambda: store._answers() and status(store, "test-key") == 200)
        assert store.stop() == 0


def test_a_worker_that_cannot_be_made_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = tmp_path / "kv.toml"
    monkeypatch.setenv("KV_CONFIG", str(config))
    monkeypatch.setenv("KV_DB", "memory://")
    monkeypatch.setattr("workertown_kv.cli.worker._AGAIN_SECONDS", 0)
    ours, theirs = multiprocessing.Pipe()
    bounds = Bounds(client_seconds=30, connections=1, refused_at_once=1)
    worker = Worker(FLAGS, bounds, Files(), [], None, ours, Metering(Board()))

    async def open_after_a_failure() -> str:
        opening = asyncio.create_task(worker.open_server())
        while not caplog.records:  # noqa: ASYNC110  (a log has no events)
            await asyncio.sleep(0)
        config.write_text("base_path = '/b'")
        async with await opening as server:
            return server.options.base_path

    with ours, theirs:
        assert asyncio.run(open_after_a_failure()) == "/b"
    assert f"A worker cannot start, and will try again: Cannot read {config}" in caplog.text


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_worker_that_does_not_reload_is_reported(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("workertown_kv.cli.workers._RELOAD_SECONDS", 0)
    monkeypatch.setenv("KV_DB", "memory://")
    monkeypatch.setenv("KV_API_KEY", "s3cret")
    main = Workers(FLAGS, Files(), [[]], None)
    process = multiprocessing.get_context("fork").Process()
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        main._workers.append(_Worker(process, ours, 0))
        main._reload()
        assert isinstance(theirs.recv(), Files)
        assert "1 of 1 workers have not reloaded within 0 s" in caplog.text
        assert "Reloaded" not in capsys.readouterr().out
