"""Test how HttpStorage divides batches that are too large for the server behind."""

import asyncio
from collections.abc import Iterator

import pytest

from caller import API_KEY
from servers.behind import ServersBehind
from workertown_kv.entry import Entry
from workertown_kv.errors import KeyTooLong, NamespaceNotFound, PreconditionFailed
from workertown_kv.operations import MUST_NOT_EXIST, Batch, Delete, Get, Set
from workertown_kv.storage.http import HttpStorage
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

BATCH_BYTES = 100_000


@pytest.fixture(scope="module")
def servers() -> Iterator[ServersBehind]:
    with ServersBehind() as servers:
        yield servers


async def test_a_batch_may_have_more_bytes_than_the_server_takes_at_once(
    servers: ServersBehind,
) -> None:
    url = servers.serve(MemoryStorage(), limits={"batch_bytes": BATCH_BYTES})
    storage = HttpStorage(url, token=API_KEY)
    await storage.open()
    try:
        sizes = [10_000] * 30 + [90_000, 100, BATCH_BYTES]
        writes = [
            Set(
                namespace="default",
                key=f"\0{number:02}" * 100,
                value=bytes([255, number]) * (size // 2),
                is_json=False,
                precondition=MUST_NOT_EXIST if number == 30 else None,
            )
            for number, size in enumerate(sizes)
        ]
        versions = await storage.batch(Batch(writes))
        gets = [storage.get(Get("default", write.key)) for write in writes]
        for write, version, entry in zip(
            writes, versions, await asyncio.gather(*gets), strict=True
        ):
            assert isinstance(entry, Entry)
            assert (entry.value, entry.version) == (write.value, version)
        again = await storage.batch(Batch(writes))
        failed = [index for index, one in enumerate(again) if isinstance(one, PreconditionFailed)]
        assert failed == [30]
        assert sum(isinstance(one, str) for one in again) == len(writes) - 1
        missing = Set(namespace="f" * 32, key="a", value=writes[30].value, is_json=False)
        with pytest.raises(NamespaceNotFound):
            await storage.batch(Batch([missing]))
    finally:
        await storage.close()


async def test_a_part_that_is_refused_leaves_the_parts_before_it(servers: ServersBehind) -> None:
    behind = MemoryStorage()
    url = servers.serve(behind, limits={"batch_operations": 10, "key_bytes": 100})
    storage = HttpStorage(url, token=API_KEY)
    await storage.open()
    try:
        keys = [f"{number:02}" for number in range(20)]
        keys[15] = "k" * 101
        writes = [
            Set(namespace="default", key=key, value=b"1", precondition=MUST_NOT_EXIST)
            for key in keys
        ]
        results = await storage.batch(Batch(writes))
        assert [isinstance(one, str) for one in results] == [True] * 10 + [False] * 10
        assert {type(one) for one in results[10:]} == {KeyTooLong}
        # Those that arrive together are done one by one instead.
        await storage.batch(Batch([Delete("default", key) for key in keys[:10]]))
        outcomes = await asyncio.gather(*map(storage.set, writes), return_exceptions=True)
        assert [index for index, one in enumerate(outcomes) if not isinstance(one, str)] == [15]
        with pytest.raises(KeyTooLong):
            await storage.batch(Batch(writes[15:17]))
    finally:
        await storage.close()


@pytest.mark.parametrize("size", [1, 100_000])
async def test_metadata_is_any_json_that_other_apis_have_written(
    servers: ServersBehind, size: int
) -> None:
    storage = HttpStorage(servers.serve(MemoryStorage()), token=API_KEY)
    await storage.open()
    try:
        for metadata in (b"[1]", b'"v1"', b'{"a":1.0}'):
            write = Set(
                namespace="default",
                key="a",
                value=b"\xff" * size,
                is_json=False,
                metadata=metadata,
            )
            await storage.set(write)
            entry = await storage.get(Get("default", "a"))
            assert entry is not None
            assert entry.metadata == metadata
    finally:
        await storage.close()


async def test_a_value_may_have_more_bytes_than_a_batch_returns(servers: ServersBehind) -> None:
    url = servers.serve(MemoryStorage(), limits={"batch_bytes": BATCH_BYTES})
    storage = HttpStorage(url, token=API_KEY)
    await storage.open()
    try:
        value = b"\xff" * (2 * BATCH_BYTES)
        writes = [
            Set(
                namespace="default",
                key=key,
                value=value,
                is_json=False,
                metadata=b'{"n":1}',
                expires_at=4102444800.25,
            )
            for key in ("a", "ab")
        ]
        for write in writes:
            version = await storage.set(write)
            entry = await storage.get(Get("default", write.key))
            assert entry == Entry(
                key=write.key,
                value=value,
                is_json=False,
                metadata=write.metadata,
                expires_at=write.expires_at,
                version=version,
            )
        assert await storage.get(Get("default", "abc")) is None
    finally:
        await storage.close()
