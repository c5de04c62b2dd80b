"""Opens the native clients of engines, each with a table of its own like that of the store."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import apsw
import asyncmy
import asyncpg  # type: ignore[import-untyped]  # asyncpg has no types
from redis.asyncio import BlockingConnectionPool, Redis

from .data import Data

Act = Callable[[str, str], Awaitable[Any]]
"""Reads a key, or writes the value to it."""
Client = Callable[[str, Data], AbstractAsyncContextManager[tuple[Act, Act]]]
"""Opens a client whose table has the data, and yields what reads and what writes."""

CONNECTIONS: Final = 10
"""The connections of each pool, as many as those of the store by default."""


@asynccontextmanager
async def asyncpg_client(url: str, data: Data) -> AsyncIterator[tuple[Act, Act]]:
    """Use asyncpg over PostgreSQL."""
    pool = await asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS)

    async def get(key: str, _: str) -> Any:
        return await pool.fetchrow("SELECT value FROM native WHERE key = $1", key.encode())

    async def put(key: str, value: str) -> Any:
        return await pool.execute(
            "INSERT INTO native VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = $2",
            key.encode(),
            value,
        )

    await pool.execute("CREATE TABLE IF NOT EXISTS native (key bytea PRIMARY KEY, value text)")
    rows = [(data.key(number).encode(), data.value) for number in range(data.keys)]
    await pool.executemany("INSERT INTO native VALUES ($1, $2) ON CONFLICT DO NOTHING", rows)
    try:
        yield get, put
    finally:
        await pool.close()


@asynccontextmanager
async def asyncmy_client(url: str, data: Data) -> AsyncIterator[tuple[Act, Act]]:
    """Use asyncmy over MariaDB."""
    parts = urlsplit(url)
    pool = await asyncmy.create_pool(
        host=parts.hostname,
        port=parts.port,
        user=parts.username,
        password=unquote(parts.password or ""),
        db=parts.path[1:],
        minsize=CONNECTIONS,
        maxsize=CONNECTIONS,
        autocommit=True,
    )

    async def run(sql: str, *values: object) -> Any:
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute(sql, values)
            return await cursor.fetchall()

    async def get(key: str, _: str) -> Any:
        return await run("SELECT value FROM native WHERE `key` = %s", key)

    async def put(key: str, value: str) -> Any:
        return await run(_MYSQL_PUT, key, value)

    await run("CREATE OR REPLACE TABLE native (`key` VARBINARY(2048) PRIMARY KEY, value LONGTEXT)")
    async with pool.acquire() as connection, connection.cursor() as cursor:
        rows = [(data.key(number), data.value) for number in range(data.keys)]
        await cursor.executemany(_MYSQL_PUT, rows)
    try:
        yield get, put
    finally:
        pool.close()
        await pool.wait_closed()


_MYSQL_PUT: Final = "REPLACE INTO native VALUES (%s, %s)"


@asynccontextmanager
async def redis_client(url: str, data: Data) -> AsyncIterator[tuple[Act, Act]]:
    """Use redis-py over Redis."""
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS)
    async with Redis(connection_pool=pool) as client:

        async def get(key: str, _: str) -> Any:
            return await client.get(f"native:{key}")

        async def put(key: str, value: str) -> Any:
            return await client.set(f"native:{key}", value)

        await client.mset({f"native:{data.key(n)}": data.value for n in range(data.keys)})
        yield get, put
    await pool.disconnect()


@asynccontextmanager
async def apsw_client(url: str, data: Data) -> AsyncIterator[tuple[Act, Act]]:
    """Use apsw on an SQLite file, with every commit on the disk, on the event loop's thread."""
    db = apsw.Connection(str(Path(url)))
    db.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE IF NOT EXISTS native (key TEXT PRIMARY KEY, value TEXT) STRICT")

    async def get(key: str, _: str) -> Any:
        return db.execute("SELECT value FROM native WHERE key = ?", (key,)).get

    async def put(key: str, value: str) -> Any:
        return db.execute("INSERT OR REPLACE INTO native VALUES (?, ?)", (key, value)).fetchall()

    for number in range(data.keys):
        await put(data.key(number), data.value)
    try:
        yield get, put
    finally:
        db.close()
