"""Test caches that follow the changes in Redis, also while Redis is cut off and comes back."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from caller import Caller, make_server
from served_socket import SECONDS
from servers.redis import RunningRedis
from workertown_kv.server import background
from workertown_kv.storage.redis import RedisStorage

pytestmark = pytest.mark.anyio

FOLLOW: Any = {"ttl": 3600, "follow": True}


async def until_reads(call: Caller, value: object) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            answer = await call("GET", "/v1/kv/a")
            if answer.status_code in (200, 404) and answer.json()["data"] == value:
                return
            await asyncio.sleep(0.001)


async def until_put(call: Caller, value: object) -> None:
    async with asyncio.timeout(SECONDS):
        while (await call("PUT", "/v1/kv/a", json={"value": value})).status_code != 200:  # noqa: ASYNC110  (no event tells)
            await asyncio.sleep(0.01)


async def test_two_servers_over_one_redis_see_writes_of_each_other(running: RunningRedis) -> None:
    async with (
        make_server(RedisStorage(running.url), cache=FOLLOW) as one,
        make_server(RedisStorage(running.url), cache=FOLLOW) as other,
    ):
        near, far = Caller(one), Caller(other)
        for value in ("1", "2"):
            await far.put("a", value)
            await until_reads(near, value)
        await far("DELETE", "/v1/kv?prefix=a")
        await until_reads(near, None)
        await near.put("a", "back")
        await until_reads(far, "back")


@pytest.mark.parametrize("keeps", [True, False])
async def test_servers_follow_a_redis_that_was_killed_and_started_again(
    keeps: bool, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "FOLLOW_SECONDS", 0.01)
    monkeypatch.setattr("workertown_kv.changes.feed._RETRY_SECONDS", 0.01)
    arguments = ("--appendonly", "yes", "--appendfsync", "always") if keeps else ()
    with RunningRedis(program, tmp_path, *arguments) as redis:
        async with (
            make_server(RedisStorage(redis.url), cache=FOLLOW) as one,
            make_server(RedisStorage(redis.url)) as other,
        ):
            near, far = Caller(one), Caller(other)
            await far.put("a", "before")
            await until_reads(near, "before")
            redis.kill()
            redis.start()
            await until_reads(near, "before" if keeps else None)
            await until_put(far, "after")
            await until_reads(near, "after")
