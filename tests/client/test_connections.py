"""Test that many calls at once share a few connections, and take no threads."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from workertown_kv import AsyncClient
from workertown_kv.testing import ServedStore

pytestmark = pytest.mark.anyio

SECONDS = 60


class Passing:
    """Passes connections on to a server, and counts them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.count = 0
        self.ended = asyncio.Event()
        self._open = 0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        self._open += 1
        self.ended.clear()
        there, here = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(ConnectionError):
            await asyncio.gather(_copy(reader, here), _copy(there, writer))
            await asyncio.gather(here.wait_closed(), writer.wait_closed())
        self._open -= 1
        if not self._open:
            self.ended.set()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def passing(served: ServedStore) -> AsyncIterator[tuple[str, Passing]]:
    counting = Passing(served.port)
    listener = await asyncio.start_server(counting.connect, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", counting
        await asyncio.wait_for(counting.ended.wait(), SECONDS)


@pytest.mark.parametrize(("given", "most"), [("", 10), ("?connections=3", 3)])
async def test_a_hundred_gets_at_once_share_the_connections(
    served: ServedStore, given: str, most: int
) -> None:
    async with passing(served) as (url, counting):
        async with AsyncClient(url + given, api_key="test-key") as store:
            await store.set("theme", "dark")
            before = threading.active_count()
            assert set(await asyncio.gather(*(store.get("theme") for _ in range(100)))) == {"dark"}
            assert threading.active_count() == before
            assert counting.count <= most
            waiting = store.watch("none", initial=True)
            assert (await anext(waiting)).event == "ready"
            next_change = asyncio.ensure_future(anext(waiting))
            await asyncio.gather(*(store.get("theme") for _ in range(100)))
            assert not next_change.done()
            next_change.cancel()
            await asyncio.wait([next_change])
        assert counting.count <= most + 1
