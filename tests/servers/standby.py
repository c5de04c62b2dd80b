"""Start two PostgreSQL servers: a primary, and a standby that follows it."""

from contextlib import ExitStack
from pathlib import Path
from typing import Literal, Self

from waiting import wait_until

from .postgres import RunningPostgres

Commit = Literal["local", "on", "remote_apply"]
"""The level of `synchronous_commit` for a commit; `local` waits only for this server."""


class PairedPostgres(RunningPostgres):
    """Runs a server of the pair: the first one, or a copy of its leader, which it follows."""

    ready = "database system is ready to accept"  # a standby goes on: "read-only connections"

    def __init__(self, programs: Path, name: str, commit: Commit, leader: Self | None) -> None:
        super().__init__(
            programs,
            *("-c", f"cluster_name={name}", "-c", f"synchronous_commit={commit}"),
        )
        self.name = name
        self._leader = leader

    def create(self) -> None:
        if self._leader is None:
            super().create()
            # In the file, since `pg_rewind` runs the server with no other settings.
            with (self.folder / "data" / "postgresql.conf").open("a") as settings:
                settings.write("wal_log_hints = on\nwal_keep_size = 1GB\n")
        else:
            program = self.program("pg_basebackup")
            data = str(self.folder / "data")
            self.run(program, "-D", data, "-R", "-c", "fast", **self._leader.environment)

    def follow(self, leader: RunningPostgres) -> None:
        """Return as a standby, after a crash as a primary.

        Writes that no other server has are undone.
        """
        # Before that, the leader's control file does not show its promotion.
        leader.sql("CHECKPOINT")
        names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
        names["PGPASSWORD"] = "password"
        where = " ".join(f"{names[name]}={text}" for name, text in leader.environment.items())
        program = self.program("pg_rewind")
        self.run(program, "-D", str(self.folder / "data"), "-R", "--source-server", where)
        self.start()


class PostgresPair:
    """Runs a primary, and a standby that follows it. A context manager.

    The primary acknowledges a write once the standby has it too, unless `commit` is `local`.
    """

    def __init__(self, programs: Path, commit: Commit = "on") -> None:
        self.primary = PairedPostgres(programs, "one", commit, None)
        self.standby = PairedPostgres(programs, "two", commit, self.primary)
        self._is_synchronous = commit != "local"
        self._all = ExitStack()

    @property
    def url(self) -> str:
        """Return the URL, which names both; clients find out which server is the primary."""
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return self.primary.url.replace(f"127.0.0.1:{self.primary.port}", hosts)

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self.primary)
            starting.enter_context(self.standby)
            self.wait_for_standby()
            self._all = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._all.close()

    def promote(self) -> None:
        """Make the standby the primary. At first it has no standby, and waits for none."""
        self.primary, self.standby = self.standby, self.primary
        self.primary.sql("SELECT pg_promote()")

    def rejoin(self) -> None:
        """Bring the former primary back, as the standby of the new primary."""
        self.standby.follow(self.primary)
        self.wait_for_standby()

    def wait_for_standby(self) -> None:
        """Wait until the standby follows; writes then wait for it, if their level says so."""
        if self._is_synchronous:
            self.primary.sql(f"ALTER SYSTEM SET synchronous_standby_names = {self.standby.name}")
            self.primary.sql("SELECT pg_reload_conf()")
        expected = f"streaming|{'sync' if self._is_synchronous else 'async'}"
        seen = "SELECT state, sync_state FROM pg_stat_replication"
        wait_until(lambda: self.primary.sql(seen) == expected)
