"""Starts the database servers that the store runs over."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .programs import find

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.mariadb import RunningMariadb
from servers.postgres import RunningPostgres, postgres_programs
from servers.redis import ALWAYS_SYNCED, RunningRedis
from servers.starting import DidNotStart

__all__ = [
    "DidNotStart",
    "Engine",
    "StartEngine",
    "mariadb",
    "memory",
    "postgres",
    "redis",
    "sqlite",
]


@dataclass(frozen=True)
class Engine:
    """Describes a database that is ready: its URL, and its processes if it has any."""

    url: str | Path
    pids: tuple[int, ...] = ()


StartEngine = Callable[[Path], AbstractContextManager[Engine]]
"""Starts a database that may keep files in the folder, and stops it at the end."""


@contextmanager
def memory(_: Path) -> Iterator[Engine]:
    """Keep everything in the process of the store."""
    yield Engine("memory://")


@contextmanager
def sqlite(folder: Path) -> Iterator[Engine]:
    """Name an SQLite file."""
    yield Engine(folder / "kv.sqlite")


@contextmanager
def postgres(_: Path) -> Iterator[Engine]:
    """Start PostgreSQL with its defaults: every commit is on the disk."""
    with RunningPostgres(postgres_programs(find)) as server:
        yield Engine(server.url, (server.pid,))


@contextmanager
def mariadb(_: Path) -> Iterator[Engine]:
    """Start MariaDB with its defaults: every commit is on the disk."""
    find("mariadb")
    with RunningMariadb(find("mariadbd")) as server:
        yield Engine(server.url, (server.pid,))


@contextmanager
def redis(folder: Path) -> Iterator[Engine]:
    """Start a Redis that has every write on the disk before it answers."""
    with RunningRedis(find("redis-server"), folder, *ALWAYS_SYNCED) as server:
        yield Engine(server.url, (server.pid,))
