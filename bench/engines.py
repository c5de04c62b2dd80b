"""The server over each engine, beside that engine's own client: `python -m bench.engines`.

Both do the same to the same table or keys: get one of 1,000 values of 100 bytes, or write one. The
native client is a Python program with the driver that the storage uses and as many tasks at a time
as the other has connections; wrk asks the server over HTTP. All of it runs on the cores at hand.

CPU is user and system time for each request: of the native client, of our server, and of the engine
while our server asks it.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import asyncmy
import asyncpg  # type: ignore[import-untyped]  # asyncpg has no types
import click
from redis.asyncio import BlockingConnectionPool, Redis

from workertown_kv.operations import Get, Set
from workertown_kv.storage import Storage
from workertown_kv.storage.url import storage_from_url

from .cpu import cpu_seconds, others_seconds
from .load import Load, run_loads
from .programs import find
from .scenarios import CORES
from .servers import TEXT, served

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.mariadb import RunningMariadb
from servers.postgres import RunningPostgres, postgres_programs
from servers.redis import RunningRedis

KEYS: Final = 1000
CONNECTIONS: Final = 64
Act = Callable[[int, str], Awaitable[Any]]
"""Takes the number of the value, and what to write: a new text each time, or nothing is written."""


@dataclass(frozen=True)
class Engine:
    """One that runs."""

    url: str
    pid: int


@dataclass(frozen=True)
class Seen:
    """What came of asking for some seconds."""

    per_second: float
    cpu_us: float
    """Of whoever asked, for each request."""
    engine_us: float = 0
    others: float = 0
    """The share of the machine's CPU that others used meanwhile."""


@contextmanager
def postgres(_: Path) -> Iterator[Engine]:
    """PostgreSQL, as it comes: every commit is on the disk."""
    with RunningPostgres(postgres_programs(lambda program, _: find(program))) as server:
        yield Engine(server.url, server.pid)


@contextmanager
def mariadb(_: Path) -> Iterator[Engine]:
    """MariaDB, as it comes: every commit is on the disk."""
    with RunningMariadb(find("mariadbd")) as server:
        yield Engine(server.url, server.pid)


@contextmanager
def redis(folder: Path) -> Iterator[Engine]:
    """Redis that has every write on the disk before it answers."""
    args = ("--appendonly", "yes", "--appendfsync", "always")
    with RunningRedis(find("redis-server"), folder, *args) as server:
        yield Engine(server.url, server.pid)


ENGINES: Final[Mapping[str, Callable[[Path], AbstractContextManager[Engine]]]] = {
    "postgres": postgres,
    "mariadb": mariadb,
    "redis": redis,
}


@click.command()
@click.option("--seconds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--engine", "chosen", type=click.Choice(list(ENGINES)), multiple=True)
def main(*, seconds: int, rounds: int, chosen: tuple[str, ...]) -> None:
    """Measure; a table in Markdown, medians of the rounds."""
    columns = ("native client, per s", "over HTTP, per s", "ratio")
    costs = ("native client, CPU µs", "our server, CPU µs", "engine, CPU µs")
    click.echo(f"| engine | what | {' | '.join([*columns, *costs])} |")
    click.echo(f"|---|---|{'--:|' * 6}")
    for name in chosen or ENGINES:
        with TemporaryDirectory() as folder, ENGINES[name](Path(folder)) as engine:
            asyncio.run(_fill(engine.url))
            for what in ("GET", "PUT"):
                native, http = [], []
                for _ in range(rounds):
                    native.append(asyncio.run(_native(name, engine.url, what, seconds)))
                    http.append(_http(engine, what, seconds))
                ours, theirs = (median(one.per_second for one in some) for some in (http, native))
                cells = [name, what, f"{theirs:,.0f}", f"{ours:,.0f}", f"{ours / theirs:.2f}"]
                cells += [
                    f"{median(one.cpu_us for one in native):.0f}",
                    f"{median(one.cpu_us for one in http):.0f}",
                    f"{median(one.engine_us for one in http):.0f}",
                ]
                click.echo(f"| {' | '.join(cells)} |")
                others = max(one.others for one in http)
                click.echo(f"{name} {what}: others used up to {others:.0%} of the CPU", err=True)


async def _fill(url: str) -> None:
    storage: Storage = storage_from_url(url)
    await storage.open()
    for number in range(KEYS):
        key = f"value{number}"
        await storage.set(Set(namespace="default", key=key, value=TEXT.encode()))
    assert await storage.get(Get("default", "value0")) is not None
    await storage.close()


def _http(engine: Engine, what: str, seconds: int) -> Seen:
    """How often a second our server does it, in one process."""
    with served(engine.url, get_path="/v1/kv/value7") as server:
        ours, its = cpu_seconds(server.pids), cpu_seconds([engine.pid])
        all_of_it = (*server.pids, engine.pid, os.getpid())
        others = others_seconds(all_of_it)
        (seen,) = run_loads(server, [Load(what, CONNECTIONS, puts=what == "PUT")], seconds)
        others = (others_seconds(all_of_it) - others) / (seconds * CORES)
        ours, its = cpu_seconds(server.pids) - ours, cpu_seconds([engine.pid]) - its
    if seen.failed:
        raise click.ClickException(f"{seen.failed:,} REQUESTS FAILED")
    each = 1e6 / seen.requests
    return Seen(seen.per_second, ours * each, its * each, max(0.0, others))


async def _native(engine: str, url: str, what: str, seconds: int) -> Seen:
    """How often a second the engine's own client does the same, in one process."""
    get, put, close = await _CLIENTS[engine](url)
    act = get if what == "GET" else put
    done = 0
    used = time.process_time()
    until = time.perf_counter() + seconds

    async def work(start: int) -> None:
        nonlocal done
        number = start
        while time.perf_counter() < until:
            number = (number + CONNECTIONS) % KEYS
            await act(number, f"{TEXT}{done}")
            done += 1

    await asyncio.gather(*(work(start) for start in range(CONNECTIONS)))
    used = time.process_time() - used
    await close()
    return Seen(done / seconds, used * 1e6 / done)


_Client = tuple[Act, Act, Callable[[], Awaitable[Any]]]


async def _asyncpg(url: str) -> _Client:
    pool = await asyncpg.create_pool(url, min_size=10, max_size=10)
    await pool.execute("CREATE TABLE IF NOT EXISTS native (key bytea PRIMARY KEY, value text)")
    for number in range(KEYS):
        await pool.execute(
            "INSERT INTO native VALUES ($1, $2) ON CONFLICT DO NOTHING", b"%d" % number, TEXT
        )

    async def get(number: int, _: str) -> Any:
        return await pool.fetchrow("SELECT value FROM native WHERE key = $1", b"%d" % number)

    async def put(number: int, text: str) -> Any:
        return await pool.execute(
            "INSERT INTO native VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = $2",
            b"%d" % number,
            text,
        )

    return get, put, pool.close


async def _asyncmy(url: str) -> _Client:
    parts = urlsplit(url)
    pool = await asyncmy.create_pool(
        host=parts.hostname,
        port=parts.port,
        user=parts.username,
        password=unquote(parts.password or ""),
        db="kv",
        minsize=10,
        maxsize=10,
        autocommit=True,
    )

    async def run(sql: str, *values: object) -> Any:
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(sql, values)
            return await cursor.fetchall()

    async def get(number: int, _: str) -> Any:
        return await run("SELECT value FROM native WHERE `key` = %s", f"{number}")

    async def put(number: int, text: str) -> Any:
        return await run("REPLACE INTO native VALUES (%s, %s)", f"{number}", text)

    async def close() -> None:
        pool.close()
        await pool.wait_closed()

    await run("CREATE OR REPLACE TABLE native (`key` VARBINARY(2048) PRIMARY KEY, value LONGTEXT)")
    for number in range(KEYS):
        await put(number, TEXT)
    return get, put, close


async def _redis_py(url: str) -> _Client:
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(url, max_connections=10)
    client = Redis(connection_pool=pool)

    async def get(number: int, _: str) -> Any:
        return await client.get(f"native{number}")

    async def put(number: int, text: str) -> Any:
        return await client.set(f"native{number}", text)

    for number in range(KEYS):
        await put(number, TEXT)
    return get, put, client.aclose


_CLIENTS: Final[Mapping[str, Callable[[str], Awaitable[_Client]]]] = {
    "postgres": _asyncpg,
    "mariadb": _asyncmy,
    "redis": _redis_py,
}


if __name__ == "__main__":
    main()
