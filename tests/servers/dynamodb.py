"""Start ministack, a stand-in for DynamoDB, or use the server that a variable names."""

import os
import sys
import time
from pathlib import Path
from typing import Final, Self
from urllib.request import urlopen

from workertown_kv.testing.served import free_port

from .process import RunningProcess

OTHER_SERVER: Final = "KV_TEST_DYNAMODB"
"""The variable with the URL of another server, such as AWS's own DynamoDB Local."""
START_SECONDS: Final = 120


class RunningDynamoDB(RunningProcess):
    """Runs ministack on a free port of this machine. A context manager.

    `packages` is a folder with its packages.
    """

    def __init__(self, packages: Path, folder: Path) -> None:
        self._packages = packages
        self._log = folder / "ministack.log"
        self.endpoint = os.environ.get(OTHER_SERVER, "")

    def __enter__(self) -> Self:
        return self if self.endpoint else super().__enter__()

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    def url(self, table: str, parameters: str = "") -> str:
        """Return the URL of a table. An answer may take long on a busy machine."""
        given = f"endpoint={self.endpoint}&timeout=60&wait=60{parameters}"
        return f"dynamodb://eu-central-1/{table}?{given}"

    def start(self) -> None:
        """Start on a free port, and wait until the server answers."""
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self._packages),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "SERVICES": "dynamodb",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "TMPDIR": str(self._log.parent),
        }
        process = self._launch([sys.executable, "-m", "ministack"], self._log, env)
        until = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < until:
            try:
                urlopen(f"{self.endpoint}/_ministack/health", timeout=START_SECONDS).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"ministack did not start:\n{self._log.read_text()}")
