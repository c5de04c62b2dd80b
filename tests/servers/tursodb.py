"""Run Turso's own database as a server for Hrana, from npm."""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

from servers.process import RunningProcess
from workertown_kv.testing.served import free_port

_SECONDS: Final = 60


class RunningTursodb(RunningProcess):
    """A server with one database, on a free port of this machine. A context manager."""

    def __init__(self, npm: Path, folder: Path) -> None:
        # npm installs the package of this system only.
        (self._program,) = npm.glob("@tursodatabase/cli-*/**/tursodb")
        self._log = folder / "tursodb.log"
        self.port = 0

    @property
    def url(self) -> str:
        return f"libsql://127.0.0.1:{self.port}?tls=0"

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

    def start(self) -> None:
        """Start on a free port, and wait until the server answers."""
        self.port = free_port()
        command = [str(self._program), ":memory:", "--sync-server", f"127.0.0.1:{self.port}"]
        process = self._launch(command, self._log)
        until = time.monotonic() + _SECONDS
        while process.poll() is None and time.monotonic() < until:
            with suppress(URLError, ConnectionError):
                self.ask("SELECT 1")
                return
            time.sleep(0.02)
        raise RuntimeError(self._log.read_text())
