"""Run a server that accepts connections and never answers a TLS handshake."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from servers.listening import listening


@asynccontextmanager
async def hanging_tls(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Yield the port of the server, and an event that is set when its client has gone.

    Once the client has begun the handshake, so many seconds pass at once on the event loop.
    """
    loop = asyncio.get_running_loop()
    time = loop.time
    gone = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        monkeypatch.setattr(loop, "time", lambda: time() + seconds)
        await reader.read()
        gone.set()

    async with listening(hang) as port:
        yield port, gone
