"""Test how a server opens its storage and begins its work."""

import asyncio
from collections.abc import Sequence

import pytest

from caller import make_server
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio


async def test_a_server_whose_opening_was_cancelled_while_it_warned_does_its_work() -> None:
    class Slow(MemoryStorage):
        async def warnings(self) -> Sequence[str]:
            asked.set()
            await asyncio.Event().wait()
            return ()

        async def sweep(self, limit: int) -> int:
            swept.set()
            return await super().sweep(limit)

    asked, swept = asyncio.Event(), asyncio.Event()
    server = make_server(Slow())
    opening = asyncio.ensure_future(server.open())
    await asked.wait()
    opening.cancel()
    await asyncio.wait([opening])
    async with server:
        await asyncio.wait_for(swept.wait(), 60)
