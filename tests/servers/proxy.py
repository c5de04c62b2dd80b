"""Run a proxy in front of a Redis, which can lose answers."""

import asyncio
from typing import Self, cast


class Proxy:
    """Passes on requests to the Redis at a port, and can lose answers. A context manager."""

    def __init__(self, port: int) -> None:
        self.requests = 0
        """How often a client has sent something to Redis."""
        self.answers_to_lose = 0
        """This many connections break once Redis has run what they sent."""
        self._port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        answering = asyncio.create_task(self._answer(there, writer))
        self._tasks |= {answering, cast("asyncio.Task[None]", asyncio.current_task())}
        try:
            while data := await reader.read(1 << 16):
                self.requests += 1
                back.write(data)
        finally:
            back.close()
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if self.answers_to_lose:
                self.answers_to_lose -= 1
                break
            writer.write(data)
        writer.close()
