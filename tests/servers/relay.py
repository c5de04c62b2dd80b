"""Run a relay in front of a server: it counts round trips, and makes the network between faulty."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socket import SO_REUSEPORT, SOL_SOCKET, socket
from threading import Thread
from typing import Any, Final, Self

_BLOCK_BYTES: Final = 65536
_BLOCKS_PER_SECOND: Final = 20
"""How many blocks pass in a second where only so many bytes may pass."""
_SECONDS: Final = 60
_END_SECONDS: Final = 0.1


class Relay:
    """Passes on all bytes to and from a port of this machine. A context manager.

    It runs in a thread of its own, for tests that block as well as for coroutines. A fault applies
    to the connections that are open, and to new connections.
    """

    def __init__(self, target: int) -> None:
        # This socket never listens. It keeps the port while connections are refused.
        self._kept = _bound(0)
        self.port: int = self._kept.getsockname()[1]
        self.round_trips = 0
        """How often a client has sent something after an answer, or at first."""
        self._target = target
        self._delay_seconds = 0.0
        self._bytes_per_second: int | None = None
        self._requests, self._answers = _Losing(), _Losing()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._begin())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._kept.close()

    def in_front(self, url: str) -> str:
        """Return the URL of the server with the port of the relay instead."""
        return url.replace(f":{self._target}", f":{self.port}")

    def lose_answers(self, number: int = 1, *, after_bytes: int = 0) -> None:
        """Let the server's next answers break their connections, each after so many of its bytes.

        The server has received those requests.
        """
        self._answers = _Losing(number, after_bytes)

    def lose_requests(self, number: int = 1, *, after_bytes: int = 0) -> None:
        """Let the next requests break their connections, each after so many of its bytes."""
        self._requests = _Losing(number, after_bytes)

    def cut(self) -> None:
        """Break all connections."""
        self._do(self._cut)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Break all connections and refuse new ones, as a machine does whose server has ended."""
        self._do(self._server.close)
        self._do(self._cut)
        try:
            yield
        finally:
            self._run(self._listen())

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Hold back all bytes in both directions, as a network does that loses every packet.

        New connections are accepted, and hang too. The bytes arrive at the end.
        """
        self._do(self._passes.clear)
        try:
            yield
        finally:
            self._do(self._passes.set)

    @contextmanager
    def slow(
        self, *, delay_seconds: float = 0, bytes_per_second: int | None = None
    ) -> Iterator[None]:
        """Delay every block of bytes, or let only so many bytes of a connection pass in a second.

        The limit holds for each direction.
        """
        self._delay_seconds, self._bytes_per_second = delay_seconds, bytes_per_second
        try:
            yield
        finally:
            self._delay_seconds, self._bytes_per_second = 0, None

    def _do(self, act: Callable[[], object]) -> None:
        """Call a function in the thread of the relay, and wait until it has returned."""

        async def done() -> None:
            act()

        self._run(done())

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_SECONDS)

    async def _begin(self) -> None:
        self._passes = asyncio.Event()
        self._passes.set()
        await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=_bound(self.port))

    async def _end(self) -> None:
        self._server.close()
        self._passes.set()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            self._cut()
            await asyncio.wait(others, timeout=_END_SECONDS)

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = {writer}
        self._writers.add(writer)
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
            writers.add(to_server)
            self._writers.add(to_server)
            await self._pass_both(reader, to_server, from_server, writer)
        except* OSError:
            pass  # a fault, or one of both sides has gone
        finally:
            for one in writers:
                one.close()
            self._writers -= writers

    async def _pass_both(
        self,
        from_client: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
    ) -> None:
        answered = True

        def on_request() -> _Losing:
            nonlocal answered
            self.round_trips += answered
            answered = False
            return self._requests

        def on_answer() -> _Losing:
            nonlocal answered
            answered = True
            return self._answers

        async with asyncio.TaskGroup() as both:
            both.create_task(self._pass_on(from_client, to_server, on_request))
            both.create_task(self._pass_on(from_server, to_client, on_answer))

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_block: Callable[[], "_Losing"],
    ) -> None:
        left: int | None = None
        while block := await reader.read(self._block_bytes()):
            losing = on_block()
            if left is None:
                left = losing.take()
            await self._passes.wait()
            await asyncio.sleep(self._delay_seconds)
            writer.write(block[:left])
            await writer.drain()
            if left is not None:
                left -= len(block)
                if left <= 0:
                    raise ConnectionAbortedError
            if self._bytes_per_second:
                await asyncio.sleep(len(block) / self._bytes_per_second)
        await self._passes.wait()
        writer.close()

    def _block_bytes(self) -> int:
        if self._bytes_per_second is None:
            return _BLOCK_BYTES
        return max(1, self._bytes_per_second // _BLOCKS_PER_SECOND)


@dataclass
class _Losing:
    """Says how many of the next blocks in a direction break their connections, and where."""

    number: int = 0
    after_bytes: int = 0

    def take(self) -> int | None:
        """Return after how many bytes a connection breaks, if it does."""
        if not self.number:
            return None
        self.number -= 1
        return self.after_bytes


def _bound(port: int) -> socket:
    bound = socket()
    bound.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound
