"""Share what the database servers of the tests need: a program with a folder and a port."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from workertown_kv.testing.served import free_port

from .memory import data_folder
from .starting import start_with_retry

START_SECONDS: Final = 120
PASSWORD: Final = "s3cr/et"


class RunningDatabase(ABC):
    """A database server on a free port of this machine, with its data in a folder of its own.

    A context manager. Such servers do not run as root: where the tests do, they run as the user
    whom the Debian package has made. Their one user is `kv`, with a password.
    """

    user: ClassVar[str]
    ready: ClassVar[str]
    """The text that the server prints when it accepts connections."""

    polite: ClassVar[signal.Signals]
    """The signal that stops it in good order."""

    url: str

    def __init__(self, *args: str) -> None:
        self.port = free_port()
        self.args = list(args)
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            found = pwd.getpwnam(self.user)
            self._as_user = {"user": self.user, "group": found.pw_gid, "extra_groups": []}

    @cached_property
    def folder(self) -> Path:
        """Return the data folder; the first call makes it."""
        # Not in a folder of pytest, which only its own user may enter.
        folder = data_folder(self)
        self.give(folder)
        return folder

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def __enter__(self) -> Self:
        start_with_retry(type(self).__name__, self._create_and_start, self.__exit__)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)
        del self.folder

    def _create_and_start(self) -> None:
        self.create()
        self.start()

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command that starts the server."""

    @abstractmethod
    def create(self) -> None:
        """Make the data folder."""

    @abstractmethod
    def sql(self, text: str) -> str:
        """Run statements with the engine's own shell, and return its output."""

    def give(self, path: Path) -> None:
        """Make the user of the server the owner of a path."""
        if os.geteuid() == 0:
            shutil.chown(path, self.user)

    def start(self) -> None:
        """Start, on the same port and folder as before, and wait until it accepts connections.

        A server that runs already stays as it is.
        """
        if self._process is not None:
            return
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [*self.command(), *self.args],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                **self._as_user,
            )
        self._process = process
        deadline = time.monotonic() + START_SECONDS
        while self.ready not in self.log():
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"The server did not start:\n{self.log()}")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        """Return the process that was started; it may have started others."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """Return the output since the last start."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """Stop the server in good order. Repeating it does no harm."""
        if self._process is not None:
            self._process.send_signal(self.polite)
            self._process.wait(timeout=60)
            self._process = None

    def kill(self) -> None:
        """Kill the server and all its processes at once (SIGKILL), as a crash would."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait(timeout=60)
            self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the server for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Make the server hang for a while: connections stay open, and it answers nothing."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def run(self, *command: str, text: str = "", **env: str) -> str:
        """Run a program as the user of the server, and return its output."""
        done = subprocess.run(
            command,
            input=text.encode(),
            env={**os.environ, **env},
            cwd=self.folder,
            capture_output=True,
            check=False,
            timeout=60,
            **self._as_user,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed:\n{(done.stdout + done.stderr).decode()}")
        return bytes(done.stdout).decode().strip()

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the server, as if at once."""
        assert self._process is not None
        if self._process.poll() is not None:
            return  # by now its number may be that of somebody else
        # A stopped server starts no more processes. They would notice if it ended before them, and
        # would still undo their transactions, for which others wait.
        self._process.send_signal(signal.SIGSTOP)
        for child in children(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, number)
        self._process.send_signal(number)


def children(pid: int) -> list[int]:
    """Return the processes that this process has started, and which still run."""
    command = ["ps", "-o", "pid=", "--ppid", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(one) for one in found.stdout.split()]
