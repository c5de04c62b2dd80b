"""Start a MariaDB server for tests."""

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from .database import PASSWORD, RunningDatabase


class RunningMariadb(RunningDatabase):
    """Runs a MariaDB server, with a database `kv`. `program` is that of the server."""

    user = "mysql"
    ready = "ready for connections"
    polite: ClassVar = signal.SIGTERM

    def __init__(self, program: str, *args: str) -> None:
        super().__init__(*args)
        self._program = program
        self.url = f"mysql://kv:s3cr%2Fet@127.0.0.1:{self.port}/kv"

    @property
    def socket(self) -> Path:
        """Return its Unix socket."""
        return self.folder / "socket"

    def command(self) -> Sequence[str]:
        return [
            *(self._program, "--no-defaults", f"--datadir={self.folder / 'data'}"),
            *("--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={self.socket}"),
            *("--skip-name-resolve", "--max-allowed-packet=32M"),
        ]

    def create(self) -> None:
        self.run(
            *("mariadb-install-db", "--no-defaults", f"--datadir={self.folder / 'data'}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )
        self.start()
        self.as_root(
            f"CREATE DATABASE kv; CREATE USER kv@'%' IDENTIFIED BY '{PASSWORD}';"
            "GRANT ALL ON kv.* TO kv@'%'; DROP USER IF EXISTS ''@localhost, ''@'%'"
        )

    def sql(self, text: str) -> str:
        return self.run("mariadb", *self.arguments, "-N", "-B", "--raw", "kv", text=text)

    def as_root(self, text: str) -> str:
        """Run statements as the user who may do everything."""
        root = ["--no-defaults", f"--socket={self.socket}", "-u", "root", "-N", "-B"]
        return self.run("mariadb", *root, text=text)

    @property
    def arguments(self) -> Sequence[str]:
        """Return the arguments with which MariaDB's own programs find the server."""
        return [
            *("--no-defaults", "-h", "127.0.0.1", f"--port={self.port}"),
            *("-u", "kv", f"--password={PASSWORD}", "--default-character-set=utf8mb4"),
        ]


def mariadb_program(require_program: Callable[[str, str], str]) -> str:
    """Return the program of the server. On Debian, only the path of root leads to it."""
    require_program("mariadb", "mariadb-client")
    usual = "/usr/sbin/mariadbd"
    return usual if os.access(usual, os.X_OK) else require_program("mariadbd", "mariadb-server")
