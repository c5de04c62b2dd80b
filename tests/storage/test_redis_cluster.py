"""Test RedisStorage on a cluster of six, also when it loses a server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import cache
from hashlib import sha1
from pathlib import Path

import pytest
from redis.crc import key_slot

from caller import Caller, make_server
from servers.redis import PERMISSIONS, RunningRedis
from servers.redis_cluster import RunningCluster
from storage.following import Following
from storage.redis_case import SPACE, opened, put, slot_of
from storage.redis_gathering import RedisGathering
from workertown_kv.entry import Entry
from workertown_kv.errors import (
    InputError,
    PreconditionFailed,
    StorageError,
    StorageUnsupported,
    ValueTooLarge,
)
from workertown_kv.operations import Batch, Delete, Get, List, Operation, Precondition, ReadChanges
from workertown_kv.storage import Clock, Storage
from workertown_kv.storage.redis import RedisStorage
from workertown_kv.testing import StorageConformance
from workertown_kv.testing.conformance.batches import Batches
from workertown_kv.testing.conformance.case import StorageCase
from workertown_kv.testing.conformance.changes.log import cursor_of_now
from workertown_kv.testing.conformance.listings import all_keys
from workertown_kv.testing.conformance.preconditions import Preconditions

pytestmark = [pytest.mark.anyio]


@pytest.fixture
async def storage(url: str) -> AsyncIterator[RedisStorage]:
    async with opened(url) as storage:
        yield storage


@pytest.fixture
def gathering_url(url: str) -> str:
    return f"{url}&timeout=60"


class TestRedisClusterGathering(RedisGathering):
    # For each of three servers.
    most_for_gets = most_for_sets = 12


@pytest.mark.deep
class TestRedisStorageInOneSlot(StorageConformance):
    """Tests one bucket, in which everything can be changed at one moment."""

    examples = 5

    @pytest.fixture(autouse=True)
    def on(self, cluster: RunningCluster) -> None:
        self.url = cluster.url

    def make(self, clock: Clock, folder: Path) -> Storage:
        prefix = sha1(bytes(folder)).hexdigest()
        return RedisStorage(f"{self.url}?buckets=1&prefix={prefix}", clock=clock)


class _InManySlots(StorageCase):
    """Has many buckets, in which only keys that share a hash tag can be changed at one moment."""

    examples = 5

    def together(self, key: str) -> str:
        return f"{{t}}{key}"

    @pytest.fixture(autouse=True)
    def on(self, cluster: RunningCluster) -> None:
        self.url = cluster.url

    def make(self, clock: Clock, folder: Path) -> Storage:
        return RedisStorage(f"{self.url}?prefix={sha1(bytes(folder)).hexdigest()}", clock=clock)


class TestTheCoreOfTheContract(_InManySlots, Preconditions, Batches):
    """Runs the parts of the suite that depend most on the slots."""


@pytest.mark.deep
class TestRedisStorageInManySlots(_InManySlots, StorageConformance):
    """Runs the whole suite."""


async def test_keys_are_spread_over_the_servers(
    storage: RedisStorage, cluster: RunningCluster
) -> None:
    keys = [f"key {i}" for i in range(300)]
    await storage.batch(Batch([put(key) for key in keys]))
    owner = cache(cluster.primary_of)
    owners = [owner(slot_of(key)).port for key in keys]
    counts = sorted(owners.count(port) for port in set(owners))
    assert len(counts) == 3
    assert counts[0] > 60


async def test_what_shares_a_hash_tag_is_changed_at_one_moment(storage: RedisStorage) -> None:
    batch: list[Operation] = [put("{user1}:name"), put("{user1}:mail"), Get(SPACE, "{user1}:name")]
    results = await storage.batch(Batch(batch, atomic=True))
    assert isinstance(results[2], Entry)


async def test_an_atomic_batch_over_several_slots_is_501(url: str) -> None:
    assert slot_of("a") != slot_of("b")
    storage = RedisStorage(url)
    async with make_server(storage) as server:
        with pytest.raises(StorageUnsupported, match="hash tag"):
            await storage.batch(Batch([put("a"), put("b")], atomic=True))
        sets = [{"op": "set", "key": key, "value": 1} for key in "ab"]
        answer = await Caller(server)("POST", "/v1/kv", json={"atomic": True, "operations": sets})
        assert answer.status_code == 501
        assert "{user1}" in answer.json()["error"]
        assert await storage.get(Get(SPACE, "a")) is None


async def test_a_batch_over_several_slots_is_done_in_order(storage: RedisStorage) -> None:
    keys = [str(i) for i in range(100)]
    operations: list[Operation] = [
        operation
        for key in keys
        for operation in (
            put(key, b"1" + key.encode()),
            Get(SPACE, key),
            put(key, b"2" + key.encode()),
            Get(SPACE, key),
            put(key, b"3", precondition=Precondition(negated=True)),
            Delete(SPACE, key),
            Get(SPACE, key),
        )
    ]
    results = await storage.batch(Batch(operations))
    for i, key in enumerate(keys):
        _, first, version, second, refused, _, gone = results[7 * i : 7 * i + 7]
        assert isinstance(first, Entry)
        assert isinstance(second, Entry)
        assert (first.value, second.value) == (b"1" + key.encode(), b"2" + key.encode())
        assert second.version == version
        assert isinstance(refused, PreconditionFailed)
        assert gone is None


async def test_a_budget_is_spent_in_order_whatever_the_slots(storage: RedisStorage) -> None:
    sizes = [100, 10, 300, 5, 100, 1, 20, 0, 250, 3]
    keys = [str(i) for i in range(len(sizes))]
    sets = [put(key, b"x" * size) for key, size in zip(keys, sizes, strict=True)]
    await storage.batch(Batch(sets))
    for budget in (0, 4, 99, 110, 235, 240, 500, 1000):
        results = await storage.batch(Batch([Get(SPACE, key) for key in keys], read_bytes=budget))
        left = budget
        for size, result in zip(sizes, results, strict=True):
            assert isinstance(result, Entry if size <= left else ValueTooLarge), budget
            left -= size if size <= left else 0
    # A write after a get that was too large for its part is still done after it.
    big: list[Operation] = [Get(SPACE, "2"), put("2", b"new"), Get(SPACE, "2"), Get(SPACE, "1")]
    results = await storage.batch(Batch(big, read_bytes=313))
    values = [one.value for one in results if isinstance(one, Entry)]
    assert values == [b"x" * 300, b"new", b"x" * 10]


async def test_a_listing_merges_the_buckets(storage: RedisStorage) -> None:
    keys = sorted(f"{'ab'[i % 2]}/{i:04}" for i in range(700))
    await storage.batch(Batch([put(key) for key in keys]))
    assert await all_keys(storage, "", 1000) == keys
    assert await all_keys(storage, "", 41) == keys
    assert await all_keys(storage, "b/", 20) == keys[350:]
    page = await storage.list(List(SPACE, "", 1, keys[-2]))
    assert ([one.key for one in page.keys], page.cursor) == (keys[-1:], None)


async def test_a_slot_that_moves_is_followed(
    storage: RedisStorage, cluster: RunningCluster
) -> None:
    keys = [f"{{t}}{i}" for i in range(10)]
    await storage.batch(Batch([put(key) for key in keys]))
    following = Following(storage)
    await following.start()
    slot = slot_of("{t}")
    source = cluster.primary_of(slot)
    target = next(
        primary
        for primary in map(cluster.primary_of, (0, 8000, 16000))
        if primary.port != source.port
    )
    with source.client() as here, target.client() as there:
        names = {one: one.execute_command("CLUSTER MYID") for one in (here, there)}
        there.execute_command(f"CLUSTER SETSLOT {slot} IMPORTING {names[here]}")
        here.execute_command(f"CLUSTER SETSLOT {slot} MIGRATING {names[there]}")
        moving = here.execute_command(f"CLUSTER GETKEYSINSLOT {slot} 1000")
        for name in moving[::2]:
            here.execute_command("MIGRATE", "127.0.0.1", target.port, name, 0, 5000)
        for key in keys:
            assert await storage.get(Get(SPACE, key)) is not None
        # A write of keys that are on both servers waits until the slot has moved.
        writes = [asyncio.ensure_future(storage.set(put(key, b"2"))) for key in keys]
        await asyncio.wait(writes, timeout=0.2)
        for name in moving[1::2]:
            here.execute_command("MIGRATE", "127.0.0.1", target.port, name, 0, 5000)
        for client in (there, here):
            client.execute_command(f"CLUSTER SETSLOT {slot} NODE {names[there]}")
    await asyncio.gather(*writes)
    for key in keys:
        entry = await storage.get(Get(SPACE, key))
        assert entry is not None
        assert entry.value == b"2"
    await following.stop()
    assert (following.begun, len(following.seen)) == (1, len(keys))
    assert await following.matches()


async def test_a_reader_of_changes_follows_all_buckets(url: str) -> None:
    async with opened(url) as storage, opened(url) as other:
        following = Following(storage)
        await following.start()
        keys = [str(i) for i in range(100)]
        for one in (storage, other) * 3:
            await asyncio.gather(*(one.set(put(key)) for key in keys))
        await other.batch(Batch([Delete(SPACE, key) for key in keys[:50]]))
        await following.stop()
        assert (following.begun, len(following.seen)) == (1, 600)
        assert await following.matches()


async def test_a_cursor_of_other_buckets_is_refused(url: str) -> None:
    async with opened(url) as storage:
        cursor = await cursor_of_now(storage)
        assert len(cursor) < 500
        with pytest.raises(InputError):
            await storage.changes(ReadChanges(cursor.rpartition(",")[0]))


async def test_a_server_without_cluster_mode_is_refused(
    require_program: Callable[[str, str], str], tmp_path: Path, cluster: RunningCluster
) -> None:
    program = require_program("redis-server", "redis-server")
    with RunningRedis(program, tmp_path) as single:
        storage = RedisStorage(f"redis+cluster://127.0.0.1:{single.port}")
        with pytest.raises(StorageError, match="cluster support disabled"):
            await storage.open()
    elsewhere = cluster.replica_of(key_slot(b"kv:layout"))
    with pytest.raises(StorageError, match=r"expected redis\+cluster://"):
        await RedisStorage(elsewhere.url).open()


async def test_a_user_of_the_cluster_needs_few_permissions(cluster: RunningCluster) -> None:
    for node in cluster.nodes:
        with node.client() as client:
            client.execute_command(
                f"ACL SETUSER kv on >s3cret {PERMISSIONS} +cluster|slots +asking"
            )
    async with opened(cluster.url.replace("://", "://kv:s3cret@")) as storage:
        keys = [str(i) for i in range(20)]
        results = await storage.batch(Batch([put(key) for key in keys]))
        assert {type(one) for one in results} == {str}
        assert await all_keys(storage, "", 1000) == sorted(keys)


async def test_a_primary_that_hangs_delays_no_other(
    storage: RedisStorage, cluster: RunningCluster
) -> None:
    hanging = cluster.primary_of(slot_of("key 0"))
    keys = [f"key {number}" for number in range(100)]
    await asyncio.gather(*(storage.set(put(key)) for key in keys))
    owner = cache(cluster.primary_of)
    its = [key for key in keys if owner(slot_of(key)) is hanging]
    others = [key for key in keys if key not in its]
    hanging.pause()
    try:
        waiting = [asyncio.ensure_future(storage.get(Get(SPACE, key))) for key in its]
        found = await asyncio.gather(*(storage.get(Get(SPACE, key)) for key in others))
        await asyncio.gather(*(storage.set(put(key)) for key in others))
        assert not any(one.done() for one in waiting)
    finally:
        hanging.resume()
    assert None not in [*found, *await asyncio.gather(*waiting)]
