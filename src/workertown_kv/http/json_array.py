"""Decode long JSON arrays item by item, up to a limit, with pauses for other requests.

A decoder of whole arrays makes all items before the server can count them, and a body may have
millions of tiny items.
"""

import asyncio
import re
from typing import Final, TypeVar

import msgspec

_T = TypeVar("_T")

SHORT_BYTES: Final = 256 * 1024
"""A text of at most this size is decoded at once, whatever items it has."""

_TURN_BYTES: Final = 1024 * 1024
_TURN_ITEMS: Final = 500
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
_OPENING: Final = re.compile(rb"[ \t\r\n]*\[[ \t\r\n]*(\])?")
_COMMA: Final = re.compile(rb",")
_CLOSING: Final = re.compile(rb"\][ \t\r\n]*\Z")
_TRAILING: Final = re.compile(r"JSON is malformed: trailing characters \(byte (\d+)\)")


async def decoded_array(
    text: bytes | bytearray | memoryview,
    array: msgspec.json.Decoder[list[_T]],
    item: msgspec.json.Decoder[_T],
    most: int,
) -> list[_T]:
    """Return the items of an array, one more than `most` if there are more.

    Raises the error of the decoder, with the index of the item in `__notes__`.
    """
    view = memoryview(text)
    opening = _OPENING.match(view)
    if len(view) <= SHORT_BYTES or opening is None or opening[1]:
        return array.decode(view)
    items: list[_T] = []
    start, turn = opening.end(), 0
    while True:
        size = _size(view[start:])
        try:
            items.append(item.decode(view[start : start + size]))
        except (msgspec.DecodeError, RecursionError) as error:
            error.add_note(f"[{len(items)}]")
            raise
        start += size
        if len(items) > most or _CLOSING.match(view, start):
            return items
        if not _COMMA.match(view, start):
            raise msgspec.DecodeError(f"JSON is malformed: expected ',' or ']' (byte {start})")
        start += 1
        turn += size
        if turn > _TURN_BYTES or len(items) % _TURN_ITEMS == 0:
            turn = 0
            await asyncio.sleep(0)


def _size(text: memoryview) -> int:
    """Count the bytes of the value at the beginning, with the white space after it."""
    try:
        _ANY.decode(text)
    except msgspec.DecodeError as error:
        # Only with this error does the decoder say where a value ends.
        trailing = _TRAILING.fullmatch(str(error))
        if trailing:
            return int(trailing[1]) - 1
        raise
    raise msgspec.DecodeError("Input data was truncated")
