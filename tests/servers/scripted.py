"""Answer HTTP requests with bytes that a test has written, and keep what was sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from servers.listening import listening

Script = Callable[[int, bytes], bytes]
"""Returns what to send for a request, by its number from 0 on; empty: close the connection."""

ABOUT = b'{"status":200,"success":true,"data":{"lacks":{},"limits":{},"now":0,"idempotency":true}}'


def answer(body: bytes, status: bytes = b"200 OK", *fields: bytes) -> bytes:
    """Return the bytes of an answer."""
    head = b"".join(b"%b\r\n" % field for field in (*fields, b"Content-Length: %d" % len(body)))
    return b"HTTP/1.1 %b\r\n%b\r\n%b" % (status, head, body)


class Scripted:
    """A server that answers from a script, after the first request, about what it can do."""

    def __init__(self, script: Script) -> None:
        self.requests: list[bytes] = []
        self.about = answer(ABOUT)
        self.port = 0
        self._script = script

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            request = head + await reader.readexactly(int(length or 0))
            if b"about=true" in head:
                sent = self.about
            else:
                self.requests.append(request)
                sent = self._script(len(self.requests) - 1, request)
            if not sent:
                break
            writer.write(sent)
            await writer.drain()


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Scripted]:
    """Run a server with a script."""
    server = Scripted(script)
    async with listening(server.handle) as server.port:
        yield server
