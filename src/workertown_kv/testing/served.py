"""Serve a store over real HTTP, in a process of its own."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from itertools import cycle, islice
from typing import Final, Self

import httpx2

START_SECONDS: Final = 30

_PORTS: Final = random.sample(range(11_000, 32_000)[os.getpid() % 21 * 1000 :][:1000], 1000)
_NEXT_PORTS: Final = cycle(_PORTS)


class ServedStore:
    """Runs `workertown-kv serve` in a process of its own, on a free port of this machine.

    As a context manager, it starts the server, waits until it answers, and stops it at the end.
    Raises `RuntimeError`, with the output of the server, if it does not answer within 30 seconds.
    """

    def __init__(
        self,
        database: str | os.PathLike[str] = "memory://",
        *,
        api_key: str = "test-key",
        args: Sequence[str] = ("--no-access-log",),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.headers = {"Authorization": f"Bearer {api_key}"}
        self.output = ""
        """The output of the server so far; complete once the server has ended."""
        self._command = [sys.executable, "-m", "workertown_kv", "serve", *args]
        self._env = {
            **os.environ,
            "KV_DB": os.fspath(database),
            "KV_PORT": str(self.port),
            "KV_API_KEY": api_key,
            **(env or {}),
        }
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            # `__exit__` is not called for what `__enter__` did not finish, as by Ctrl-C.
            if self._process is not None and self._process.returncode is None:
                self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the main process."""
        assert self._process is not None
        return self._process.pid

    def client(self, *, timeout_seconds: float = 30) -> httpx2.Client:
        """Return an HTTP client that has the URL and the credentials of the server."""
        # Without TLS, no certificates are needed, which take 40 ms to load.
        return httpx2.Client(
            base_url=self.url, headers=self.headers, timeout=timeout_seconds, verify=False
        )

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises `RuntimeError`, with the output of the server, if it ends or does not answer within
        30 seconds.
        """
        self._process = subprocess.Popen(  # noqa: S603  (a command of our own)
            self._command,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"The server did not start:\n{self.output}")
            time.sleep(0.02)

    def stop(self) -> int:
        """Stop the server with SIGTERM, wait for its end, and return its exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._ended()

    def read_until(self, text: str) -> str:
        """Wait for the next line of output that contains `text`, and return the line.

        Raises `RuntimeError` if the server ends without such a line.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output += line
            if text in line:
                return line
        raise RuntimeError(f"The server ended without printing {text!r}:\n{self.output}")

    def kill(self) -> None:
        """End the server and its workers at once with SIGKILL, as a crash would."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._ended()

    def _ended(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        if not self._process.stdout.closed:
            printed, _ = self._process.communicate(timeout=60)
            self.output += printed
        return self._process.returncode

    def _answers(self) -> bool:
        # A client of httpx2 takes ten times as long to find that no program listens yet.
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


def free_port() -> int:
    """Return a port on which no program listens, with each call another one.

    It stays free for the server that will use it: by default, the system gives none of these ports
    to programs that ask for any port, and other test processes rarely choose the same one. Raises
    `RuntimeError` if all thousand ports of this process are in use.
    """
    for port in islice(_NEXT_PORTS, len(_PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"No port from {min(_PORTS)} to {max(_PORTS)} is free")
