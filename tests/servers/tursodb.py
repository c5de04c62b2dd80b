"""Run Turso's own database as a server for Hrana, from npm."""

import json
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self
from urllib.error import URLError
from urllib.request import Request, urlopen

from servers.starting import start_with_retry
from workertown_kv.testing.served import free_port

_SECONDS: Final = 60


class RunningTursodb:
    """A server with one database, on a free port of this machine. A context manager."""

    def __init__(self, npm: Path, folder: Path) -> None:
        # npm installs the package of this system only.
        (self._program,) = npm.glob("@tursodatabase/cli-*/**/tursodb")
        self._folder = folder
        self.port = 0

    @property
    def url(self) -> str:
        return f"libsql://127.0.0.1:{self.port}?tls=0"

    def __enter__(self) -> Self:
        start_with_retry("tursodb", self._start, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ask(self, text: str) -> Any:
        """Run a statement without the package under test. Returns the decoded answer."""
        request = {"baton": None, "requests": [{"type": "execute", "stmt": {"sql": text}}]}
        sent = Request(
            f"http://127.0.0.1:{self.port}/v2/pipeline",
            json.dumps(request).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(sent, timeout=_SECONDS) as answer:
            return json.load(answer)

    def empty(self) -> None:
        """Drop the tables of the storage."""
        for table in ("entry", "entry_migration"):
            self.ask(f"DROP TABLE IF EXISTS {table}")

    def _start(self) -> None:
        self.port = free_port()
        self._log = (self._folder / "tursodb.log").open("wb")
        command = [str(self._program), ":memory:"]
        command += ["--sync-server", f"127.0.0.1:{self.port}"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT
        )
        until = time.monotonic() + _SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            with suppress(URLError, ConnectionError):
                self.ask("SELECT 1")
                return
            time.sleep(0.02)
        raise RuntimeError((self._folder / "tursodb.log").read_text())

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()
