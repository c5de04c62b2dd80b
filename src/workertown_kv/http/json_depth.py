"""Find whether a body is JSON, and how deep it is nested, with pauses for other requests."""

import asyncio
from typing import Final

import msgspec

from ..entry import is_utf8
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


async def is_json_in_turns(value: bytes | bytearray, most: int) -> bool:
    """Return whether a value is JSON text that is not nested deeper than `most`."""
    if not value or not (value.isascii() or is_utf8(value)):
        return False
    try:
        _JSON.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return False
    return len(value) <= most or not await is_deeper_in_turns(value, most)


_JSON: Final = msgspec.json.Decoder(msgspec.Raw)
