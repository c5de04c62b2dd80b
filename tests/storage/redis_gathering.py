"""Count what a storage in Redis sends for operations that arrive together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from storage.gathering_cases import GatheringCases
from storage.redis_case import opened
from workertown_kv.storage import Storage
from workertown_kv.storage.redis.connection import PlainConnection
from workertown_kv.testing import MovedClock


class RedisGathering(GatheringCases):
    """Runs the cases of gathering. A module that extends it has a fixture `gathering_url`."""

    @pytest.fixture(autouse=True)
    def _count(self, monkeypatch: pytest.MonkeyPatch, gathering_url: str) -> None:
        self._url = gathering_url
        self._sent = 0
        send = PlainConnection.send

        async def counted(connection: PlainConnection, commands: Any) -> None:
            self._sent += 1
            await send(connection, commands)

        monkeypatch.setattr(PlainConnection, "send", counted)

    def statements(self) -> int:
        return self._sent

    @asynccontextmanager
    async def storage(self, clock: MovedClock) -> AsyncIterator[Storage]:
        async with opened(self._url, clock) as storage:
            yield storage
