"""Close a connection so that its client can read the last answer."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bounded_protocol import BoundedProtocol


class LingeringTransport:
    """Close a connection only when the client has been able to read the last answer.

    If the client is still sending the body of a request, closing at once would make the client's
    system discard the answer. So the server only says that it sends nothing more, and ignores what
    arrives, until the client or `BoundedProtocol.sweep` closes the connection.
    """

    __slots__ = ("_is_lingering", "_protocol", "_transport", "write")

    def __init__(self, transport: asyncio.Transport, protocol: "BoundedProtocol") -> None:
        self.write = transport.write
        self._transport = transport
        self._protocol = protocol
        self._is_lingering = False

    def is_closing(self) -> bool:
        """Return whether the connection is closed, or lingers."""
        return self._is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close the connection, at once if the client is not sending."""
        if self._protocol.is_in_body:
            self.linger()
        else:
            self._transport.close()

    def linger(self) -> None:
        """Send nothing more, and wait until the client closes the connection."""
        if self.is_closing():
            return
        self._is_lingering = True
        self._protocol.age = 0
        if self._transport.can_write_eof():  # TLS has no half-closed connections
            self._transport.write_eof()
        self._protocol.flow.resume_reading()
