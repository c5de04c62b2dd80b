"""Starts a server in a process of its own, and stops it whatever happens."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import click

_START_SECONDS: Final = 60


@contextmanager
def running(
    command: Sequence[str], port: int, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run a command that listens on the port, and yield its process id.

    Its output goes to a file, as a service manager would keep it. Raises `click.ClickException`,
    with the output, if the command ends or does not listen within a minute.
    """
    log = folder / f"output-{port}.log"
    with log.open("w") as output:
        # Ctrl-C does not reach a session of its own: the process is stopped below in any case.
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                name = Path(command[0]).name
                raise click.ClickException(
                    f"{name} did not listen on port {port}:\n{log.read_text()}"
                )
            time.sleep(0.001)
        yield process.pid
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_START_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also where this is interrupted, and for workers that outlive their parent.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
