"""Make connections, and find out whether they can still be used."""

import asyncio
import select
from collections.abc import Sequence
from typing import Any, Final

from hiredis import pack_command
from redis.asyncio.connection import Connection, RedisSSLContext, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from ..keyspace import Argument
from ..url_parts import Address
from .settings import Kind, Settings

PIECE_BYTES: Final = 128 * 1024
"""The most bytes that are sent at once."""


class PlainConnection(Connection):
    """A connection that can find out whether Redis has closed it."""

    async def send(self, commands: Sequence[Sequence[Argument]]) -> None:
        """Send commands, large ones in pieces, so that other requests do not wait for long."""
        sizes = (len(word) for command in commands for word in command if isinstance(word, bytes))
        if sum(sizes) <= PIECE_BYTES:
            # hiredis packs in C; redis-py itself takes three times as long.
            packed = b"".join([pack_command(tuple(command)) for command in commands])  # type: ignore[arg-type]  # its stub says that tuples have one item
            await self.send_packed_command(packed, check_health=False)
            return
        for part in self.pack_commands(commands):
            for start in range(0, len(part), PIECE_BYTES):
                piece = part[start : start + PIECE_BYTES]
                await self.send_packed_command([piece], check_health=False)
                await asyncio.sleep(0)  # for other requests, even if the socket takes all of it

    async def disconnect(self, nowait: bool = False, *others: Any, **named: Any) -> None:
        """Close the socket, with `nowait` at once, even if Redis has not read what was sent."""
        if nowait and self._writer is not None:
            self._writer.transport.abort()
        await super().disconnect(nowait, *others, **named)

    def is_stale(self) -> bool:
        """Return whether there is something to read without a request: usually the end.

        This checks with the kernel, since the event loop may not have noticed yet.
        """
        if self._writer is None or self._writer.is_closing():
            return True
        descriptor = self._writer.get_extra_info("socket").fileno()
        if descriptor < 0:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))


class TlsConnection(PlainConnection, SSLConnection):
    """A connection with TLS."""


class Connector:
    """Makes connections by the settings. The callers have the deadlines."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls: RedisSSLContext | None = None

    def connection(self, address: Address) -> PlainConnection:
        """Make a connection to a Redis, which is not open yet."""
        settings = self._settings
        return self._new(
            address,
            db=settings.database,
            username=settings.username,
            password=settings.password.reveal() or None,
        )

    async def open(self, connection: PlainConnection) -> None:
        """Open a connection. A server that sentinels named must say that it is the master."""
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py does not annotate it
        if self._settings.kind is Kind.SENTINEL:
            role = await _answer(connection, ("ROLE",))
            if role[0] != b"master":
                await connection.disconnect(nowait=True)
                raise RedisConnectionError("The sentinels named a Redis that is not the master")

    async def ask(self, address: Address, command: Sequence[Argument], seconds: float) -> Any:
        """Return the answer to a command, on a separate connection."""
        connection = (
            self._sentinel(address)
            if self._settings.kind is Kind.SENTINEL
            else self.connection(address)
        )
        try:
            async with asyncio.timeout(seconds):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py does not annotate it
                return await _answer(connection, command)
        finally:
            await connection.disconnect(nowait=True)

    def _sentinel(self, address: Address) -> PlainConnection:
        parameters = self._settings.parameters
        return self._new(
            address,
            username=parameters.sentinel_username or None,
            password=parameters.sentinel_password.reveal() or None,
        )

    def _new(self, address: Address, **given: Any) -> PlainConnection:
        host, port = address
        # RESP2 is enough here, and every Redis and proxy speaks it.
        given |= {"host": host, "port": port, "protocol": 2}
        given |= {"socket_timeout": None, "socket_connect_timeout": None}
        if not self._settings.tls:
            return PlainConnection(**given)
        connection = TlsConnection(
            ssl_ca_certs=self._settings.parameters.ssl_ca_certs or None, **given
        )
        # All connections share one context, since reading the certificates takes long.
        self._tls = connection.ssl_context = self._tls or connection.ssl_context
        return connection


async def _answer(connection: PlainConnection, command: Sequence[Argument]) -> Any:
    await connection.send_command(*command)
    return await connection.read_response(disable_decoding=True)
