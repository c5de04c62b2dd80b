"""A Redis of one's own."""

import signal
import subprocess
from pathlib import Path
from typing import Self

from redis import Redis

from workertown_kv.testing.served import free_port


class RunningRedis:
    """A `redis-server` on a free port of this machine, which keeps nothing on disk.

    A context manager. `program` is what the fixture `require_program` finds, and `args` are
    further ones of the program.
    """

    def __init__(self, program: str, folder: Path, *args: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._command = [
            *(program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--save", "", "--appendonly", "no", *args),
        ]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def client(self) -> "Redis":
        """A client, to look inside."""
        return Redis(port=self.port, decode_responses=True)

    def start(self) -> None:
        """Start, on the same port as before, and wait until it takes connections."""
        process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._process = process
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if "Ready to accept connections" in line:
                return
        self.kill()
        raise RuntimeError(f"Redis did not start:\n{printed}")

    def kill(self) -> None:
        """End it at once, as a crash would. Harmless when repeated."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def pause(self) -> None:
        """Let it hang: connections stay, and nothing is answered."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
