"""The body of a put, as workerd sends it."""

import asyncio
from contextlib import suppress

from starlette.types import Message, Receive


class PutBody:
    """A `Receive` that knows what has not been read, and whether anybody waits for an answer."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._whole = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._whole = not message.get("more_body", False)
        return message

    async def discard(self, most: int, *, seconds: float) -> None:
        """Read the rest, of at most so many bytes, if it comes within so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while most > 0 and not self._whole:
                    most -= len((await self()).get("body", b""))

    async def is_forsaken(self, *, seconds: float) -> bool:
        """Whether the client goes away within so many seconds, after the whole body."""
        try:
            async with asyncio.timeout(seconds):
                message = await self._receive()
        except TimeoutError:
            return False
        return bool(message["type"] == "http.disconnect")
