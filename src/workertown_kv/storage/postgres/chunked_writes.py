"""Send large values in pieces, so that other requests do not wait for long.

asyncpg copies a value several times, and writes it at once. So asyncpg gets a mark instead of a
large value. It writes to a transport that replaces the mark by the value and writes it piece by
piece. asyncpg gets this transport from an event loop that makes such transports.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ..sql.writing import Value

PIECE_BYTES: Final = 128 * 1024
"""Larger values are written in pieces of this size."""

PAUSE_SECONDS: Final = 0.001
"""How often the transport checks whether the network has taken the bytes written so far."""


class PieceLoop:
    """The running event loop, with connections over `PieceTransport`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(
        self, factory: Callable[[], Any], *to: Any, **how: Any
    ) -> tuple["PieceTransport", Any]:
        """See `asyncio`. No byte is lost meanwhile, since PostgreSQL does not send first."""
        transport, _ = await self._loop.create_connection(asyncio.Protocol, *to, **how)
        return self._made(transport, factory())

    async def create_unix_connection(
        self, factory: Callable[[], Any], path: str
    ) -> tuple["PieceTransport", Any]:
        """See `asyncio`."""
        transport, _ = await self._loop.create_unix_connection(asyncio.Protocol, path)
        return self._made(transport, factory())

    async def start_tls(
        self, transport: "PieceTransport", protocol: Any, context: Any, **how: Any
    ) -> "PieceTransport":
        """See `asyncio`."""
        watched = _Watched(protocol)
        over = await self._loop.start_tls(transport.inner, watched, context, **how)  # type: ignore[arg-type]  # it has the methods of a protocol
        if over is None:
            raise ConnectionResetError("The connection was closed while TLS began")
        watched.transport = PieceTransport(over, self._loop)
        return watched.transport

    def _made(self, inner: asyncio.Transport, protocol: Any) -> tuple["PieceTransport", Any]:
        if inner.is_closing():
            raise ConnectionResetError("The connection was closed at once")
        transport = PieceTransport(inner, self._loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return transport, protocol


class _Watched:
    """Passes on the bytes that are received, and notes the first of them."""

    transport: "PieceTransport | None"

    def __init__(self, protocol: Any, transport: "PieceTransport | None" = None) -> None:
        self.transport = transport
        self._received: Callable[[bytes], None] = protocol.data_received
        self.eof_received = protocol.eof_received
        self.connection_lost = protocol.connection_lost
        self.pause_writing = protocol.pause_writing
        self.resume_writing = protocol.resume_writing

    def data_received(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.answer:
            self.transport.answer = data[:1]
        self._received(data)


class PieceTransport:
    """A transport that writes large data piece by piece."""

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.inner = inner
        self._loop = loop
        self._waiting: deque[memoryview] = deque()
        self._large: dict[bytes, bytes] = {}
        """Values by their marks."""
        self.answer = b""
        """The first byte received since this was emptied."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def set_protocol(self, protocol: Any) -> None:
        """See `asyncio`."""
        self.inner.set_protocol(_Watched(protocol, self))  # type: ignore[arg-type]  # it has its methods

    @contextmanager
    def marked(self, values: Sequence[Value]) -> Iterator[Sequence[Value]]:
        """Replace large values by marks, which `write` understands in this block."""
        given = list(values)
        for index, value in enumerate(given):
            if isinstance(value, bytes) and len(value) > PIECE_BYTES:
                given[index] = mark = secrets.token_bytes(16)
                self._large[mark] = value
        try:
            yield given
        finally:
            self._large = {}

    def write(self, data: bytes | memoryview) -> None:
        """Write data, after all data written before."""
        if not self._waiting and not self._large and len(data) <= PIECE_BYTES:
            self.inner.write(data)
            return
        begins = not self._waiting
        parts = self._parts(bytes(data)) if self._large else [data]
        self._waiting += [memoryview(part) for part in parts if part]
        if begins:
            self._write_more()

    def _parts(self, data: bytes) -> Iterator[bytes]:
        """Yield the parts of messages of PostgreSQL, with values instead of their marks."""
        while data:
            # A message is a letter, the length of the rest, and the rest.
            end = 1 + int.from_bytes(data[1:5])
            message, data = data[:end], data[end:]
            found = sorted((message.find(mark), mark) for mark in self._large if mark in message)
            more = sum(len(self._large[mark]) - len(mark) for _, mark in found)
            yield message[:1] + (end - 1 + more).to_bytes(4)
            start = 5
            for at, mark in found:
                value = self._large[mark]
                yield message[start : at - 4] + len(value).to_bytes(4)
                yield value
                start = at + len(mark)
            yield message[start:]

    def _write_more(self) -> None:
        if self.inner.is_closing():
            self._waiting.clear()
            return
        if self.inner.get_write_buffer_size() > 0:
            self._loop.call_later(PAUSE_SECONDS, self._write_more)
            return
        data = self._waiting[0]
        self.inner.write(data[:PIECE_BYTES])
        if len(data) > PIECE_BYTES:
            self._waiting[0] = data[PIECE_BYTES:]
        else:
            self._waiting.popleft()
        if self._waiting:
            self._loop.call_soon(self._write_more)
