"""Write to a connection, and close it so that its client can read the last answer."""

import asyncio
from typing import TYPE_CHECKING, Final

from .turn import Turn

if TYPE_CHECKING:
    from .bounded_protocol import BoundedProtocol

GATHERED_BYTES: Final = 64 * 1024
"""How much a connection may have to write at the end of the turn."""


class LingeringTransport:
    """Close a connection only when the client has been able to read the last answer.

    If the client is still sending the body of a request, closing at once would make the client's
    system discard the answer. So the server only says that it sends nothing more, and ignores what
    arrives, until the client or `BoundedProtocol.sweep` closes the connection.
    """

    __slots__ = ("_gathered", "_is_lingering", "_protocol", "_transport", "_turn")

    def __init__(
        self, transport: asyncio.Transport, protocol: "BoundedProtocol", turn: Turn
    ) -> None:
        self._transport = transport
        self._protocol = protocol
        self._turn = turn
        self._gathered = b""
        self._is_lingering = False

    def write(self, data: bytes) -> None:
        """Write now, after what was gathered."""
        if self._gathered:
            self.flush()
        self._transport.write(data)

    def gather(self, data: bytes) -> None:
        """Write at the end of this turn of the event loop; the order of all writes stays."""
        if len(self._gathered) + len(data) > GATHERED_BYTES:
            self.write(data)
        elif self._gathered:
            self._gathered += data
        else:
            self._gathered = data
            self._turn.add(self)

    def flush(self) -> None:
        """Write what was gathered, unless the client is gone."""
        data, self._gathered = self._gathered, b""
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Return whether the connection is closed, or lingers."""
        return self._is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close the connection, at once if the client is not sending."""
        if self._protocol.is_in_body:
            self.linger()
        else:
            self.flush()
            self._transport.close()

    def linger(self) -> None:
        """Send nothing more, and wait until the client closes the connection."""
        if self.is_closing():
            return
        self._is_lingering = True
        self._protocol.age = 0
        self.flush()
        if self._transport.can_write_eof():  # TLS has no half-closed connections
            self._transport.write_eof()
        self._protocol.flow.resume_reading()
