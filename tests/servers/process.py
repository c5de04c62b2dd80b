"""Run an engine that is one process: start it, kill it, let it hang."""

import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from .starting import start_with_retry


class RunningProcess(ABC):
    """Runs an engine as a process of the user of the tests. A context manager."""

    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        start_with_retry(type(self).__name__, self.start, self.kill)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @abstractmethod
    def start(self) -> None:
        """Start, and wait until the engine answers."""

    def _launch(
        self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start the process, whose output replaces the log."""
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
            )
        return self._process

    @property
    def is_running(self) -> bool:
        """Return whether the engine was started, and not killed since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Kill the engine at once, as a crash would. Repeating it does no harm."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Make the engine hang: connections stay open, and it answers nothing."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the engine continue."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
