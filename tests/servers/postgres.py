"""Start a PostgreSQL server for tests."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from .database import PASSWORD, RunningDatabase


class RunningPostgres(RunningDatabase):
    """Runs a PostgreSQL server. `programs` is the folder of its programs."""

    user = "postgres"
    ready = "database system is ready to accept connections"
    polite: ClassVar = signal.SIGINT  # at SIGTERM it would wait until the last client is gone

    def __init__(self, programs: Path, *args: str) -> None:
        super().__init__(*args)
        self._programs = programs
        self.url = f"postgres://kv:s3cr%2Fet@127.0.0.1:{self.port}/postgres"

    def command(self) -> Sequence[str]:
        return [
            *(self.program("postgres"), "-D", str(self.folder / "data")),
            *("-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder)),
            *("-c", "log_min_messages=log"),  # how the server is, and not what is asked of it
            # In the data folder: what a killed server leaves elsewhere nobody removes.
            *("-c", "dynamic_shared_memory_type=mmap"),
        ]

    def create(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self.give(password)
        self.run(
            *(self.program("initdb"), "-D", str(self.folder / "data"), "-U", "kv"),
            *("--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C"),
            "--no-instructions",
        )

    def sql(self, text: str) -> str:
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        return self.run(self.program("psql"), *options, text=text, **self.environment)

    def program(self, name: str) -> str:
        """Return a program of PostgreSQL.

        Those that Debian has on the path start Perl first, which takes longer than they do.
        """
        return str(self._programs / name)

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the arguments with which PostgreSQL's own programs find the server."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "kv",
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": "postgres",
        }


def postgres_programs(require_program: Callable[[str, str], str]) -> Path:
    """Return the folder of PostgreSQL's programs. Debian keeps those of the server off the path."""
    require_program("psql", "postgresql-client")
    for program in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True):
        if os.access(program, os.X_OK):
            return program.parent
    return Path(require_program("postgres", "postgresql")).parent
