"""Find how deep a body is nested, with pauses for other requests."""

import asyncio
from typing import Final

from ..nesting import deeper_parts

_TURN_PARTS: Final = 16


async def is_deeper_in_turns(text: bytes | bytearray, most: int) -> bool:
    """Return whether more than `most` arrays and objects are nested inside one another."""
    for index, deeper in enumerate(deeper_parts(text, most), 1):
        if deeper:
            return True
        if index % _TURN_PARTS == 0:
            await asyncio.sleep(0)
    return False
