"""Accept connections on the event loop of a test, and leave none open at its end."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from typing import Any


@asynccontextmanager
async def listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Yield a port of this machine. Its connections last as long as `handle`, or to the end."""
    handling = dict[asyncio.Task[None], asyncio.StreamWriter]()

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            await handle(reader, writer)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handling[asyncio.create_task(handled(reader, writer))] = writer

    async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            # The event loop could end before these connections, which would then stay open. Since
            # Python 3.12, the server does not end before them.
            for task, writer in handling.items():
                task.cancel()
                writer.transport.abort()
            ended = await asyncio.gather(*handling, return_exceptions=True)
            assert not [one for one in ended if isinstance(one, Exception)]
