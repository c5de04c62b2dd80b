"""Test how the storages in a Redis gather operations: a server, and Upstash."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis import Redis

from servers.redis import RunningRedis
from servers.upstash import StandInUpstash
from storage.gathering_cases import GatheringCases
from storage.redis_case import SPACE, opened, put
from storage.redis_gathering import RedisGathering
from workertown_kv.errors import StorageUnavailable
from workertown_kv.operations import Get
from workertown_kv.storage import Storage
from workertown_kv.storage.redis.connection import PlainConnection
from workertown_kv.storage.upstash import UpstashStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def gathering_url(running: RunningRedis, inside: "Redis") -> str:
    """Return the URL of an empty Redis."""
    return f"{running.url}?timeout=60"


class TestRedisGathering(RedisGathering):
    pass


class TestUpstashGathering(GatheringCases):
    @pytest.fixture(autouse=True)
    def _running(self, running: RunningRedis, inside: "Redis") -> Any:
        with StandInUpstash(running.port) as self._upstash:
            yield

    def statements(self) -> int:
        return self._upstash.requests

    @pytest.mark.deep
    async def test_a_read_sees_every_write_that_was_answered_before_it_began(
        self, gathered: Storage
    ) -> None:
        await super().test_a_read_sees_every_write_that_was_answered_before_it_began(gathered)

    @asynccontextmanager
    async def storage(self, clock: MovedClock) -> AsyncIterator[Storage]:
        storage = UpstashStorage(f"{self._upstash.url}?timeout=60", clock=clock)
        await storage.open()
        try:
            yield storage
        finally:
            await storage.close()


async def test_a_connection_that_breaks_under_a_group_is_503_for_all_of_it(
    own: RunningRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(f"{own.url}?timeout=30") as storage:
        await asyncio.gather(*(storage.set(put(key)) for key in "abcdefgh"))
        send, sent = PlainConnection.send, list[Any]()
        group_is_sent = asyncio.Event()

        async def watched(connection: PlainConnection, commands: Any) -> None:
            sent.append(commands)
            if len(sent) == 3:
                own.pause()
            await send(connection, commands)
            if len(sent) == 3:
                group_is_sent.set()

        monkeypatch.setattr(PlainConnection, "send", watched)
        writes = [asyncio.ensure_future(storage.set(put(key, b"2"))) for key in "abcdefgh"]
        await group_is_sent.wait()
        own.kill()
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert len(sent[2]) == 6
        for outcome in outcomes[2:]:
            assert isinstance(outcome, StorageUnavailable)
            assert "may or may not" in outcome.message
        own.start()
        assert await storage.get(Get(SPACE, "a")) is None
        await asyncio.gather(*(storage.set(put(key, b"3")) for key in "abcdefgh"))
        assert await storage.get(Get(SPACE, "h")) is not None
