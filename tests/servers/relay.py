"""Run a relay in front of a server, which counts how often clients wait for an answer."""

import asyncio
from contextlib import suppress
from typing import Self

from workertown_kv.testing.served import free_port


class Relay:
    """Passes on all bytes to and from a port of this machine. An async context manager."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.round_trips = 0
        """How often a client has sent something after an answer, or at first."""
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        answered = True

        async def ask() -> None:
            nonlocal answered
            while sent := await reader.read(65536):
                self.round_trips += answered
                answered = False
                to_server.write(sent)
            to_server.close()

        async def answer() -> None:
            nonlocal answered
            while sent := await from_server.read(65536):
                answered = True
                writer.write(sent)
            writer.close()

        with suppress(ConnectionError):
            await asyncio.gather(ask(), answer())
