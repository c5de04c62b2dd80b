"""Test that RedisStorage follows the master that sentinels name."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.redis import PERMISSIONS, RunningRedis, RunningSentinel, SentinelTrio
from storage.redis_case import SPACE, opened
from workertown_kv.errors import StorageError, StorageUnavailable
from workertown_kv.operations import List, Set
from workertown_kv.storage.redis import RedisStorage
from workertown_kv.testing.conformance.listings import all_keys

pytestmark = pytest.mark.anyio

RECOVERY_SECONDS = 60


@pytest.fixture
def trio(require_program: Callable[[str, str], str], tmp_path: Path) -> Iterator[SentinelTrio]:
    server = require_program("redis-server", "redis-server")
    sentinel = require_program("redis-sentinel", "redis-sentinel")
    with SentinelTrio(server, sentinel, tmp_path) as trio:
        yield trio


async def write(storage: RedisStorage, keys: range) -> float:
    """Write each value until it is acknowledged, and return the longest time that this took."""
    loop, longest = asyncio.get_running_loop(), 0.0
    async with asyncio.timeout(RECOVERY_SECONDS):
        for key in keys:
            started = loop.time()
            while True:
                try:
                    await storage.set(Set(namespace=SPACE, key=f"{key:03}", value=b"1"))
                    break
                except StorageUnavailable:
                    await asyncio.sleep(0.02)
            longest = max(longest, loop.time() - started)
    return longest


@pytest.mark.parametrize("how", ["killed", pytest.param("hanging", marks=pytest.mark.deep)])
async def test_the_new_master_is_followed(trio: SentinelTrio, how: str) -> None:
    # If the first sentinel does not answer, the storage asks the others.
    trio.sentinels[0].pause()
    async with opened(f"{trio.url}?wait=1&timeout=1") as storage:
        await write(storage, range(50))
        if how == "killed":
            trio.master.kill()
        else:
            trio.master.pause()
        with pytest.raises(StorageUnavailable):
            await storage.list(List(SPACE, "", 10))
        trio.sentinels[0].resume()
        seconds = await write(storage, range(50, 100))
        print(f"\nWritten again after {seconds:.1f} s, with the old master {how}")
        assert await all_keys(storage, "", 1000) == [f"{key:03}" for key in range(100)]
        if how == "hanging":
            trio.master.resume()
            await write(storage, range(100, 120))
            assert len(await all_keys(storage, "", 1000)) == 120


async def test_the_user_of_redis_is_not_that_of_the_sentinels(
    require_program: Callable[[str, str], str], running: RunningRedis, tmp_path: Path
) -> None:
    with running.client() as client:
        client.execute_command(f"ACL SETUSER kv on >s3cret {PERMISSIONS} +role")
    program = require_program("redis-sentinel", "redis-sentinel")
    with RunningSentinel(program, tmp_path, running.port) as sentinel:
        with sentinel.client() as client:
            client.execute_command("ACL SETUSER asking on >4sk +sentinel|get-master-addr-by-name")
            client.execute_command("ACL SETUSER default resetpass")
        url = f"redis+sentinel://kv:s3cret@127.0.0.1:{sentinel.port}/{RunningSentinel.service}"
        with pytest.raises(StorageError, match="user or the password"):
            await RedisStorage(url).open()
        async with opened(f"{url}?sentinel_username=asking&sentinel_password=4sk") as storage:
            await write(storage, range(20))
        async with opened(f"{url}-2?sentinel_username=asking&sentinel_password=4sk") as storage:
            with pytest.raises(StorageUnavailable) as caught:
                await storage.check()
            assert "No sentinel knows a master of this name" in str(caught.value.__cause__)


async def test_a_replica_is_not_taken_for_the_master(
    require_program: Callable[[str, str], str], running: RunningRedis, tmp_path: Path
) -> None:
    server = require_program("redis-server", "redis-server")
    sentinel = require_program("redis-sentinel", "redis-sentinel")
    with (
        RunningRedis(server, tmp_path, "--replicaof", "127.0.0.1", str(running.port)) as replica,
        RunningSentinel(sentinel, tmp_path, replica.port) as wrong,
    ):
        url = f"redis+sentinel://127.0.0.1:{wrong.port}/{RunningSentinel.service}"
        async with opened(url) as storage:
            with pytest.raises(StorageUnavailable) as caught:
                await storage.check()
            assert "not the master" in str(caught.value.__cause__)
