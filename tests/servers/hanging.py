"""Run a server that accepts connections, and then hangs."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import pytest

from servers.listening import listening

HOST: Final = "slow.test"
"""The name of the server. To find its address takes long."""


@asynccontextmanager
async def hanging(
    monkeypatch: pytest.MonkeyPatch, seconds: float, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """Yield the port of the server, and an event that is set when a client has gone.

    No test waits: nine tenths of the seconds pass at once on the event loop, some when the client
    asks for the address, the others when the first byte comes. With `tls`, that is a byte of a
    request; without, it may be one of a TLS handshake.
    """
    loop = asyncio.get_running_loop()
    time, resolve = loop.time, loop.getaddrinfo
    passed = 0.0
    gone = asyncio.Event()

    async def resolve_slowly(_: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal passed
        passed += 0.4 * seconds
        return await resolve("127.0.0.1", *args, **kwargs)

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal passed
        await reader.read(1)
        for _turn in range(10):  # until the client waits for an answer
            await asyncio.sleep(0)
        passed += 0.5 * seconds
        with suppress(ConnectionError):  # TLS may end without its own goodbye
            await reader.read()
        gone.set()

    monkeypatch.setattr(loop, "time", lambda: time() + passed)
    monkeypatch.setattr(loop, "getaddrinfo", resolve_slowly)
    async with listening(hang, tls) as port:
        yield port, gone
