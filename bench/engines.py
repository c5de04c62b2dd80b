"""The server over each engine, beside that engine's own client: `python -m bench.engines`.

Both do the same to the same table or keys: get one of 1,000 values of 100 bytes, or write one. The
native client is a Python program with the driver that the storage uses and as many tasks at a time
as the other has connections; wrk asks the server over HTTP. All of it runs on the cores at hand.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import asyncmy
import asyncpg  # type: ignore[import-untyped]
import click
from redis.asyncio import BlockingConnectionPool, Redis

from workertown_kv.operations import Get, Set
from workertown_kv.storage import Storage
from workertown_kv.storage.url import storage_from_url

from .load import Load, run_loads
from .programs import find
from .servers import TEXT, served

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.mariadb import RunningMariadb
from servers.postgres import RunningPostgres, postgres_programs
from servers.redis import RunningRedis

KEYS: Final = 1000
CONNECTIONS: Final = 64
Act = Callable[[int, str], Awaitable[Any]]
"""Takes the number of the value, and what to write: a new text each time, or nothing is written."""


@contextmanager
def postgres(_: Path) -> Iterator[str]:
    """PostgreSQL, as it comes: every commit is on the disk."""
    with RunningPostgres(postgres_programs(lambda program, _: find(program))) as server:
        yield server.url


@contextmanager
def mariadb(_: Path) -> Iterator[str]:
    """MariaDB, as it comes: every commit is on the disk."""
    with RunningMariadb(find("mariadbd")) as server:
        yield server.url


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Redis that has every write on the disk before it answers."""
    args = ("--appendonly", "yes", "--appendfsync", "always")
    with RunningRedis(find("redis-server"), folder, *args) as server:
        yield server.url


ENGINES: Final[Mapping[str, Callable[[Path], AbstractContextManager[str]]]] = {
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
    click.echo("| engine | what | native client, per s | over HTTP, per s | ratio |")
    click.echo("|---|---|--:|--:|--:|")
    for name in chosen or ENGINES:
        with TemporaryDirectory() as folder, ENGINES[name](Path(folder)) as url:
            asyncio.run(_fill(url))
            for what, act in (("GET", _get), ("PUT", _put)):
                native, http = [], []
                for _ in range(rounds):
                    native.append(asyncio.run(_native(name, url, what, seconds)))
                    http.append(act(url, seconds))
                ours, theirs = median(http), median(native)
                ratio = ours / theirs
                click.echo(f"| {name} | {what} | {theirs:,.0f} | {ours:,.0f} | {ratio:.2f} |")


async def _fill(url: str) -> None:
    storage: Storage = storage_from_url(url)
    await storage.open()
    for number in range(KEYS):
        key = f"value{number}"
        await storage.set(Set(namespace="default", key=key, value=TEXT.encode()))
    assert await storage.get(Get("default", "value0")) is not None
    await storage.close()


def _get(url: str, seconds: int) -> float:
    with served(url, get_path="/v1/kv/value7") as server:
        return run_loads(server, [Load("GET", CONNECTIONS)], seconds)[0].per_second


def _put(url: str, seconds: int) -> float:
    with served(url, get_path="/v1/kv/value7") as server:
        return run_loads(server, [Load("PUT", CONNECTIONS, puts=True)], seconds)[0].per_second


async def _native(engine: str, url: str, what: str, seconds: int) -> float:
    """How often a second the engine's own client does the same, in one process."""
    get, put, close = await _CLIENTS[engine](url)
    act = get if what == "GET" else put
    done = 0
    until = time.perf_counter() + seconds

    async def work(start: int) -> None:
        nonlocal done
        number = start
        while time.perf_counter() < until:
            number = (number + CONNECTIONS) % KEYS
            await act(number, f"{TEXT}{done}")
            done += 1

    await asyncio.gather(*(work(start) for start in range(CONNECTIONS)))
    await close()
    return done / seconds


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
