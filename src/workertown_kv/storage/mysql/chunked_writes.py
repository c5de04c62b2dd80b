"""Send and receive large values in pieces, so that other requests do not wait for long.

This relies on internals of asyncmy, and on MySQL's protocol: a client can send each value of a
statement by itself, without an answer (COM_STMT_SEND_LONG_DATA), before it executes the statement.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from asyncmy.connection import (  # type: ignore[attr-defined]  # its stub lacks the protocol
    MySQLResult,
    _MySQLProtocol,
)
from asyncmy.constants.COMMAND import COM_STMT_EXECUTE, COM_STMT_SEND_LONG_DATA
from asyncmy.errors import InternalError
from asyncmy.protocol import MysqlPacket

from ..sql.writing import Value
from .login import LoginConnection

PIECE_BYTES: Final = 128 * 1024
"""Larger values are sent in pieces of this size."""

ROOM_BYTES: Final = 64 * 1024
"""The most bytes received at once; uvloop receives up to 32 times before other tasks run."""

_WHOLE_BYTES: Final = 2**24 - 1
"""A packet of this length continues in the next packet."""

_NULL, _DOUBLE, _LONGLONG, _BLOB = b"\6\0", b"\5\0", b"\x08\0", b"\xfc\0"


class _PieceProtocol(_MySQLProtocol):  # type: ignore[misc]  # its base has no type
    def get_buffer(self, sizehint: int) -> memoryview:
        room: memoryview = super().get_buffer(sizehint)
        return room[:ROOM_BYTES]


class PieceConnection(LoginConnection):
    """A connection that receives large packets piece by piece."""

    _encoding: str
    _execute_command: Callable[[int, bytes], Awaitable[None]]
    _fill_buffer: Callable[[int], Awaitable[None]]
    _next_seq_id: int
    _proto: Any
    _transport: Any

    async def connect(self) -> Any:
        connected = await super().connect()
        self._proto.__class__ = _PieceProtocol
        self._transport.set_protocol(self._proto)  # loops remember its methods
        return connected

    async def read_packet(self, packet_type: Any = MysqlPacket) -> Any:
        await self._fill_buffer(4)
        if self._coming() <= PIECE_BYTES:
            return await super().read_packet(packet_type)  # type: ignore[no-untyped-call]  # asyncmy does not annotate it
        pieces: list[bytes] = []
        goes_on = True
        while goes_on:
            await self._fill_buffer(4)
            left = self._coming()
            goes_on = left == _WHOLE_BYTES
            received = self._proto
            if received.buffer[received.pos + 3] != self._next_seq_id:
                raise InternalError("A packet is missing")
            self._next_seq_id = (self._next_seq_id + 1) & 255
            received.pos += 4
            while left:
                await self._fill_buffer(1)
                start = received.pos
                end = min(start + left, received.length)
                pieces.append(bytes(memoryview(received.buffer)[start:end]))
                received.pos = end
                left -= end - start
        # Other requests run while the thread joins the pieces.
        packet = await asyncio.to_thread(b"".join, pieces)
        return packet_type(packet, encoding=self._encoding)

    async def execute_in_pieces(self, prepared: Any, values: Sequence[Value]) -> Any:
        """Execute a prepared statement with large values, and return its result."""
        number: int = prepared._statement_id  # noqa: SLF001  (asyncmy has no other way to do it)
        for index, value in enumerate(values):
            if not isinstance(value, bytes) or len(value) <= PIECE_BYTES:
                continue
            head = struct.pack("<IH", number, index)
            for start in range(0, len(value), PIECE_BYTES):
                piece = head + value[start : start + PIECE_BYTES]
                await self._execute_command(COM_STMT_SEND_LONG_DATA, piece)
                await asyncio.sleep(0)  # for other requests, even if the socket takes all of it
                await self._proto.drain()
        header: bytes = prepared._execute_header  # noqa: SLF001  (asyncmy has no other way to do it)
        await self._execute_command(COM_STMT_EXECUTE, header + _parameters(values))
        result: Any = MySQLResult(self)
        await result.read_binary(prepared)
        await prepared._complete_result(self, result)  # noqa: SLF001  (asyncmy has no other way to do it)
        return result

    def _coming(self) -> int:
        """Return the length of the next packet, whose first four bytes have arrived."""
        start = self._proto.pos
        return int.from_bytes(self._proto.buffer[start : start + 3], "little")


def _parameters(values: Sequence[Value]) -> bytes:
    """Encode parameters: which values are NULL, the types, and the values that are not large."""
    nulls = bytearray((len(values) + 7) // 8)
    types, data = bytearray(), bytearray()
    for index, value in enumerate(values):
        match value:
            case None:
                nulls[index // 8] |= 1 << index % 8
                types += _NULL
            case float():
                types += _DOUBLE
                data += struct.pack("<d", value)
            case int():
                types += _LONGLONG
                data += struct.pack("<q", value)
            case bytes():
                types += _BLOB
                if len(value) <= PIECE_BYTES:
                    data += _length(len(value)) + value
    return bytes(nulls) + b"\1" + types + data


def _length(length: int) -> bytes:
    if length < 251:
        return bytes([length])
    if length < 1 << 16:
        return b"\xfc" + length.to_bytes(2, "little")
    return b"\xfd" + length.to_bytes(3, "little")
