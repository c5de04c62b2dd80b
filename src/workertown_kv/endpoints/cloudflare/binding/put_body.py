"""Read the body of a put, as workerd sends it."""

import asyncio
from contextlib import suppress

from ....http.exchange import Exchange


async def discard(exchange: Exchange, most: int, *, seconds: float) -> None:
    """Read the rest of the body, of at most so many bytes, if it comes within so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while most > 0 and exchange.is_unread:
                most -= len((await exchange.receive()).get("body", b""))


async def is_forsaken(exchange: Exchange, *, seconds: float) -> bool:
    """Return whether the client goes away within so many seconds, after the whole body.

    After the body, a message comes only once the client has closed the connection, or its half.
    """
    try:
        async with asyncio.timeout(seconds):
            await exchange.receive()
    except TimeoutError:
        return False
    return True
