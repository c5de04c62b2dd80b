"""Test a read cache in front of a storage."""

import asyncio
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from caller import Caller, make_server
from workertown_kv import Storage
from workertown_kv.entry import Entry
from workertown_kv.errors import PreconditionFailed, StorageUnavailable
from workertown_kv.operations import MUST_NOT_EXIST, Batch, Delete, Get, Result, Set
from workertown_kv.options import CacheOptions
from workertown_kv.storage import CachedStorage, Clock
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock, StorageConformance

pytestmark = pytest.mark.anyio
A = Get("default", "a")


class TestCachedStorage(StorageConformance):
    """Tests that a single process sees no difference, whatever the cache keeps."""

    durable = False

    def make(self, clock: Clock, folder: Path) -> Storage:
        storage = MemoryStorage(clock=clock)
        return CachedStorage(storage, CacheOptions(ttl=3600, entries=10), stopwatch=clock)


class Far(MemoryStorage):
    """Counts the reads, and answers them when a test lets it."""

    def __init__(self, values: dict[str, object] | None = None) -> None:
        super().__init__(values, clock=MovedClock())
        self.reads = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.broken = False

    async def check(self) -> None:
        """Count no read: this one runs in the background."""

    async def get(self, operation: Get) -> Entry | None:
        self.reads += 1
        entry = await super().get(operation)
        await self.answers.wait()
        if self.broken:
            raise StorageUnavailable("It is too far away")
        return entry


def put(value: bytes, key: str = "a") -> Set:
    return Set(namespace="default", key=key, value=value)


def cached(
    far: Far,
    *,
    ttl: int = 60,
    entries: int = 100,
    bytes: int = 100_000,
    stopwatch: Clock | None = None,
) -> CachedStorage:
    options = CacheOptions(ttl=ttl, entries=entries, bytes=bytes)
    return CachedStorage(far, options, stopwatch=stopwatch or far.clock)


async def value(storage: Storage, key: str = "a") -> bytes | None:
    entry = await storage.get(Get("default", key))
    return None if entry is None else entry.value


async def test_what_was_read_is_kept_for_the_ttl() -> None:
    far = Far({"a": 1})
    near = cached(far)
    clock = near.clock
    assert isinstance(clock, MovedClock)
    for seconds, reads in ((0, 1), (59.9, 1), (0.1, 2)):
        clock.move(seconds)
        assert await value(near) == b"1"
        assert far.reads == reads


async def test_a_write_by_another_is_seen_when_the_ttl_is_over() -> None:
    far = Far({"a": 1})
    near = cached(far)
    assert await value(near) == b"1"
    await far.set(put(b"2"))
    assert await value(near) == b"1"
    assert isinstance(near.clock, MovedClock)
    near.clock.move(60)
    assert await value(near) == b"2"


async def test_a_clock_that_is_set_back_keeps_nothing_longer() -> None:
    far = Far({"a": 1})
    stopwatch = MovedClock()
    near = cached(far, stopwatch=stopwatch)
    assert await value(near) == b"1"
    await far.set(put(b"2"))
    assert isinstance(near.clock, MovedClock)
    near.clock.move(-3600)
    stopwatch.move(60)
    assert await value(near) == b"2"


async def test_that_there_is_nothing_is_kept_too() -> None:
    far = Far()
    near = cached(far)
    for _ in range(3):
        assert await value(near) is None
    assert far.reads == 1


async def test_many_who_wait_share_one_read() -> None:
    far = Far({"a": 1})
    far.answers.clear()
    near = cached(far)
    readers = [asyncio.create_task(value(near)) for _ in range(20)]
    await asyncio.sleep(0)
    readers[0].cancel()
    await asyncio.sleep(0)
    far.answers.set()
    with suppress(asyncio.CancelledError):
        await readers[0]
    assert await asyncio.gather(*readers[1:]) == [b"1"] * 19
    assert far.reads == 1


async def test_own_writes_are_seen_at_once() -> None:
    far = Far({"a": 1, "b": 1})
    near = cached(far)
    assert await value(near) == b"1"
    await near.set(put(b"2"))
    assert await value(near) == b"2"
    await near.delete(Delete("default", "a"))
    assert await value(near) is None
    results: Sequence[Result] = await near.batch(Batch([put(b"3"), A]))
    assert isinstance(results[1], Entry)
    assert await value(near) == b"3"
    with pytest.raises(PreconditionFailed):
        await near.set(Set(namespace="default", key="a", value=b"4", precondition=MUST_NOT_EXIST))
    assert await value(near) == b"3"


async def test_a_read_from_before_a_write_is_not_kept() -> None:
    far = Far({"a": 1})
    near = cached(far)
    far.answers.clear()
    early = asyncio.create_task(value(near))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert far.reads == 1
    await near.set(put(b"2"))
    far.answers.set()
    assert await early == b"1"
    assert await value(near) == b"2"
    assert await value(near) == b"2"
    assert far.reads == 2


async def test_a_failure_is_not_kept() -> None:
    far = Far({"a": 1})
    near = cached(far)
    far.broken = True
    with pytest.raises(StorageUnavailable):
        await near.get(A)
    far.broken = False
    assert await value(near) == b"1"


async def test_what_expires_is_not_returned_though_it_is_kept() -> None:
    far = Far()
    near = cached(far)
    assert isinstance(near.clock, MovedClock)
    operation = Set(namespace="default", key="a", value=b"1", expires_at=near.clock() + 10)
    await near.set(operation)
    assert await value(near) == b"1"
    near.clock.move(10)
    assert await value(near) is None
    assert far.reads == 1


async def test_it_keeps_no_more_than_it_may() -> None:
    far = Far({str(i): "x" * 1000 for i in range(100)})
    few = cached(far, entries=10)
    for i in range(11):
        await value(few, str(i))
    assert far.reads == 11
    await value(few, "10")
    await value(few, "1")
    assert far.reads == 11
    await value(few, "0")
    assert far.reads == 12
    far.reads = 0
    small = cached(far, bytes=5_000)
    for i in range(4):
        await value(small, str(i))
    await value(small, "3")
    assert far.reads == 4
    await value(small, "0")
    assert far.reads == 5
    tiny = cached(far, bytes=1_000)
    await value(tiny, "0")
    await value(tiny, "0")
    assert far.reads == 7


@pytest.mark.parametrize("key", ["k{}", "x" * 1000 + "{}", "😀" * 500 + "{}"])
@pytest.mark.parametrize("metadata", [None, b'{"a":"%b"}' % (b"x" * 1000)])
async def test_it_takes_no_more_memory_than_it_may(key: str, metadata: bytes | None) -> None:
    class Apart(Storage):
        """Gives each entry its own texts and bytes, as an engine does."""

        async def get(self, operation: Get) -> Entry:
            return Entry(
                key=operation.key.encode().decode(),
                version=f"{id(operation):032x}",
                expires_at=self.clock() + 1,
                metadata=metadata and bytes(bytearray(metadata)),
                value=bytes(10),
            )

        async def set(self, operation: Set) -> str:
            raise NotImplementedError

        async def delete(self, operation: Delete) -> None:
            raise NotImplementedError

    allowed = 300_000
    near = CachedStorage(Apart(), CacheOptions(entries=100_000, bytes=allowed))
    await value(near, "first")
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for i in range(1000):
            await value(near, key.format(i))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.8 * allowed < after - before < 1.1 * allowed


async def test_a_server_with_a_cache_asks_its_storage_once() -> None:
    far = Far({"a": 1})
    call = Caller(make_server(far, cache={"ttl": 5}))
    for _ in range(3):
        assert await call.data("GET", "/v1/kv/a") == 1
    assert far.reads == 1
    await call.put("a", 2)
    assert await call.data("GET", "/v1/kv/a") == 2
    assert (await call.data("GET", "/admin/info"))["storage"] == "Far"
