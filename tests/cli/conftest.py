"""Run the command as a user would run it."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import IO, Never
from unittest.mock import patch

import pytest
from click.testing import CliRunner, Result

from workertown_kv.cli import main, serve
from workertown_kv.cli.listening import Sockets, close
from workertown_kv.cli.worker import Flags
from workertown_kv.files import Files
from workertown_kv.testing import free_port


@pytest.fixture
def environment() -> dict[str, str]:
    """Return the environment of this machine without any variable of the store."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KV_")}


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """Press Ctrl-C, for this process and those that it starts, even if the tests ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `workertown-kv` in this process, in an empty folder, with no variable of the store."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("KV_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("KV_PROFILES", str(tmp_path / "config" / "profiles.json"))

    def invoked(*args: str | Path, input: str | bytes | None = None, **env: str) -> Result:
        # The command keeps --config and --database for child processes.
        with patch.dict(os.environ, {"KV_CONFIG": "", **env}):
            words = [os.fspath(arg) for arg in args]
            return CliRunner().invoke(main, words, input=input, prog_name="workertown-kv")

    return invoked


@pytest.fixture
def run_apart(
    environment: dict[str, str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `workertown-kv` in a process of its own, in an empty folder, until it ends."""

    def run_until_it_ends(*args: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "workertown_kv", *args],
            env=environment | env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run_until_it_ends


@pytest.fixture
def run(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `workertown-kv` in this process and in an empty folder, until it ends.

    A process would take ten times as long to start. `serve` must end before its workers start, and
    leaves the log of this process as it is.
    """

    def run_until_it_ends(*args: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        if args[0] == "serve":
            _replace_workers(monkeypatch, _refuse_to_start)
        result = invoke(*args, **env)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return subprocess.CompletedProcess(args, result.exit_code, result.stdout, result.stderr)

    return run_until_it_ends


@pytest.fixture
def prepare(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[Flags, str]]:
    """Run `serve` until its workers would start, and return their flags and the output."""
    given: list[Flags] = []

    class NoWorkers:
        def __init__(self, flags: Flags, files: Files, sockets: Sockets, tls: object) -> None:
            given.append(flags)
            close(sockets, flags.uds)

        def run(self) -> None:
            """Return as if the server had stopped."""

    def run_until_it_would_serve(*args: str, **env: str) -> tuple[Flags, str]:
        _replace_workers(monkeypatch, NoWorkers)
        where = ("--port", str(free_port()), "--database", "memory://")
        ended = invoke("serve", *where, *args, **env)
        assert ended.exit_code == 0, ended.output
        return given[-1], ended.output

    return run_until_it_would_serve


def _replace_workers(monkeypatch: pytest.MonkeyPatch, workers: Callable[..., object]) -> None:
    monkeypatch.setattr(serve, "set_up_log", lambda *_: None)
    monkeypatch.setattr(serve, "Workers", workers)


def _refuse_to_start(*_: object) -> Never:
    raise AssertionError("`serve` would start its workers")


@pytest.fixture
def on_terminal(invoke: Callable[..., Result]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `workertown-kv` as `invoke` does, with a terminal as its standard output."""

    def run_until_it_ends(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
        ours, its = pty.openpty()
        said = StringIO()
        variables = {"TERM": "xterm", "KV_CONFIG": "", "COLUMNS": "100", **env}
        with os.fdopen(ours, "rb", buffering=0) as screen, ThreadPoolExecutor(1) as beside:
            shown = beside.submit(_read, screen)  # a terminal keeps no more than 4 KiB
            with (
                os.fdopen(its, "w") as terminal,
                patch.dict(os.environ, variables),
                redirect_stdout(terminal),
                redirect_stderr(said),
                pytest.raises(SystemExit) as ended,
            ):
                main(args, prog_name="workertown-kv")
            text = shown.result().decode().replace("\r\n", "\n")
        return subprocess.CompletedProcess(args, int(ended.value.code or 0), text, said.getvalue())

    return run_until_it_ends


def _read(screen: IO[bytes]) -> bytes:
    shown = b""
    with suppress(OSError):  # Linux says so when the terminal is closed
        while part := screen.read(65536):
            shown += part
    return shown
