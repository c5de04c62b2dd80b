"""Share what the tests of RedisStorage need."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from redis.crc import key_slot

from workertown_kv.operations import (
    Batch,
    Delete,
    Get,
    List,
    Operation,
    Precondition,
    ReadChanges,
    Set,
)
from workertown_kv.storage import Clock, Storage
from workertown_kv.storage.redis import RedisStorage

Find = Callable[[str, str], str]
SPACE = "default"
BUCKETS = 64
"""Of a cluster."""


def slot_of(key: str) -> int:
    """Return the slot of a cluster that an entry is in."""
    return key_slot(str(key_slot(key.encode()) % BUCKETS).encode())


def put(
    key: str,
    value: bytes = b"1",
    *,
    expires_at: float | None = None,
    precondition: Precondition | None = None,
) -> Set:
    return Set(
        namespace=SPACE,
        key=key,
        value=value,
        is_json=False,
        expires_at=expires_at,
        precondition=precondition,
    )


@asynccontextmanager
async def opened(url: str, clock: Clock | None = None) -> AsyncIterator[RedisStorage]:
    storage = RedisStorage(url, clock=clock) if clock else RedisStorage(url)
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


def acts_on(storage: Storage) -> dict[str, Callable[[], Awaitable[object]]]:
    """Yield a call of every method that uses Redis."""
    batch: list[Operation] = [put("b"), Get(SPACE, "a")]
    return {
        "check": storage.check,
        "probe": storage.probe,
        "get": lambda: storage.get(Get(SPACE, "a")),
        "set": lambda: storage.set(put("a")),
        "delete": lambda: storage.delete(Delete(SPACE, "a")),
        "list": lambda: storage.list(List(SPACE, "", 10)),
        "batch": lambda: storage.batch(Batch(batch)),
        "atomic batch": lambda: storage.batch(Batch(batch, atomic=True)),
        "sweep": lambda: storage.sweep(10),
        "changes": lambda: storage.changes(ReadChanges(None)),
    }


async def outcome_of(act: Callable[[], Awaitable[object]]) -> object:
    """Return the outcome. In a batch, each operation may fail by itself; then it is the first."""
    (outcome,) = await asyncio.gather(act(), return_exceptions=True)
    return outcome[0] if isinstance(outcome, list) else outcome
