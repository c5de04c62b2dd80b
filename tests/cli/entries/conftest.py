"""Run the command as on a terminal."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

Ended = subprocess.CompletedProcess[str]


@pytest.fixture
def on_terminal(environment: dict[str, str], tmp_path: Path) -> Callable[..., Ended]:
    """Run `workertown-kv` with a terminal as its standard output, until it ends."""

    def run_until_it_ends(*args: str, **env: str) -> Ended:
        ours, its = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "workertown_kv", *args],
            env={"TERM": "xterm", **environment, "COLUMNS": "100", **env},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=its,
            stderr=subprocess.PIPE,
        )
        os.close(its)
        shown = b""
        with suppress(OSError):  # Linux says so when the terminal is closed
            while part := os.read(ours, 65536):
                shown += part
        os.close(ours)
        _, said = process.communicate(timeout=60)
        text = shown.decode().replace("\r\n", "\n")
        return Ended(args, process.returncode, text, said.decode())

    return run_until_it_ends
