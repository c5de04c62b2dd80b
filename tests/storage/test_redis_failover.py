"""Test which entries RedisStorage loses on a cluster that loses a primary."""

import asyncio
from collections.abc import Callable
from itertools import count

import pytest

from servers.redis_cluster import RunningCluster
from storage.following import Following
from storage.redis_case import SPACE, opened, put, slot_of
from workertown_kv.errors import PreconditionFailed, StorageUnavailable
from workertown_kv.operations import Batch, Get, Precondition
from workertown_kv.storage.redis import RedisStorage
from workertown_kv.testing.conformance.listings import all_keys

pytestmark = [pytest.mark.anyio, pytest.mark.deep]

RECOVERY_SECONDS = 60


class Load:
    """Writers, each of one bucket, that write new keys, and count the acknowledged writes."""

    def __init__(self, storage: RedisStorage, value_bytes: int = 1) -> None:
        self.acknowledged: dict[str, set[str]] = {}
        self._storage = storage
        self._value = b"x" * value_bytes
        self._stopped = False
        self._writers: list[asyncio.Task[None]] = []

    def start(self, tags: list[str]) -> None:
        self.acknowledged = {tag: set() for tag in tags}
        self._writers = [asyncio.ensure_future(self._write(tag)) for tag in tags]

    async def has(self, count: int) -> None:
        """Wait until every writer has this many more acknowledged writes."""
        wanted = {tag: len(done) + count for tag, done in self.acknowledged.items()}
        await reached(
            lambda: all(len(self.acknowledged[tag]) >= number for tag, number in wanted.items())
        )

    async def stop(self) -> None:
        self._stopped = True
        await asyncio.gather(*self._writers)

    @property
    def written(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    async def lost(self) -> int:
        """Return how many acknowledged writes are gone."""
        lost = 0
        for tag, keys in self.acknowledged.items():
            lost += len(keys - {*await all_keys(self._storage, f"{{{tag}}}", 1000)})
        return lost

    async def _write(self, tag: str) -> None:
        for number in count():
            if self._stopped:
                break
            try:
                await self._storage.set(put(key := f"{{{tag}}}{number}", self._value))
                self.acknowledged[tag].add(key)
            except StorageUnavailable:
                await asyncio.sleep(0.02)


class Counters:
    """Clients that count under the same keys by compare-and-set."""

    def __init__(self, storage: RedisStorage, keys: list[str]) -> None:
        self.counted: dict[str, list[int]] = {key: [] for key in keys}
        """The numbers whose write was acknowledged."""
        self.unsure: dict[str, int] = dict.fromkeys(keys, 0)
        self._storage = storage
        self._stopped = False
        self._clients: list[asyncio.Task[None]] = []

    async def start(self, clients: int) -> None:
        for key in self.counted:
            await self._storage.set(put(key, b"0"))
        self._clients = [
            asyncio.ensure_future(self._count(key)) for key in self.counted for _ in range(clients)
        ]

    async def stop(self) -> None:
        self._stopped = True
        await asyncio.gather(*self._clients)

    async def check(self) -> None:
        for key, counted in self.counted.items():
            assert len(set(counted)) == len(counted), "two writes have made the same number"
            entry = await self._storage.get(Get(SPACE, key))
            assert entry is not None
            assert max(counted) <= int(entry.value) <= len(counted) + self.unsure[key]

    async def _count(self, key: str) -> None:
        while not self._stopped:
            try:
                entry = await self._storage.get(Get(SPACE, key))
                assert entry is not None
                number = int(entry.value) + 1
                this = Precondition((entry.version,))
                await self._storage.set(put(key, str(number).encode(), precondition=this))
                self.counted[key].append(number)
            except PreconditionFailed:
                pass
            except StorageUnavailable as error:
                self.unsure[key] += "may or may not" in error.message
                await asyncio.sleep(0.02)


async def reached(holds: Callable[[], bool]) -> None:
    """Wait until the condition holds, while the writers go on."""
    async with asyncio.timeout(RECOVERY_SECONDS):
        while not holds():  # noqa: ASYNC110  (a cluster has no event to wait for)
            await asyncio.sleep(0.01)


async def test_a_primary_is_killed_under_load(url: str, cluster: RunningCluster) -> None:
    """Kill a primary whose replica hung for a moment, and so lacks the last writes."""
    keys = [str(i) for i in range(200)]
    slot = slot_of(keys[0])
    primary, replica = cluster.primary_of(slot), cluster.replica_of(slot)
    doomed = [key for key in keys if cluster.primary_of(slot_of(key)) is primary]
    other = [key for key in keys if key not in doomed]
    async with opened(f"{url}&wait=1&timeout=2") as careful, opened(f"{url}&timeout=2") as fast:
        safe, unsafe = Load(careful), Load(fast, 50_000)
        following = Following(careful)
        await following.start()
        counters = Counters(careful, [f"counter {i}" for i in range(6)])
        await counters.start(clients=2)
        safe.start([*doomed[:6], *other[:6]])
        unsafe.start(doomed[6:12])
        await safe.has(10)
        replica.pause()
        await unsafe.has(60)
        primary.kill()
        replica.resume()
        # Until the cluster notices, all other keys can be used.
        results = await fast.batch(Batch([Get(SPACE, key) for key in keys]))
        for key, result in zip(keys, results, strict=True):
            assert isinstance(result, StorageUnavailable) is (key in doomed)
        killed_at = asyncio.get_running_loop().time()
        await unsafe.has(1)
        seconds = asyncio.get_running_loop().time() - killed_at
        # The new primary has no replica until the old one is back.
        primary.start()
        await safe.has(1)
        await asyncio.gather(safe.stop(), unsafe.stop(), counters.stop())
        await counters.check()
        assert not await safe.lost()
        await following.stop()
        assert await following.matches(), "changes are missing"
        assert len(set(following.seen)) == len(following.seen), "a change came twice"
        lost = await unsafe.lost()
        print(
            f"\nAll is written again {seconds:.1f} s after the kill. Of acknowledged writes, lost:"
        )
        print(f"with wait=1: 0 of {safe.written}")
        print(f"without: {lost} of {unsafe.written}")
        print(f"The reader of changes began {following.begun} times")
    cluster.wait_until_well()


async def test_a_primary_that_hangs_is_replaced(url: str, cluster: RunningCluster) -> None:
    slot = slot_of("a")
    primary = cluster.primary_of(slot)
    async with opened(f"{url}&timeout=0.5") as storage:
        load = Load(storage)
        load.start(["a"])
        await load.has(10)
        primary.pause()
        with pytest.raises(StorageUnavailable, match="does not answer"):
            await storage.get(Get(SPACE, "a"))
        await load.has(1)
        await load.stop()
        primary.resume()
        assert await storage.get(Get(SPACE, "{a}0")) is not None
    cluster.wait_until_well()
