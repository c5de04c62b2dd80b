"""Decode bodies in JSON, as Cloudflare's clients send them."""

from typing import Final, TypeVar

import msgspec

from ...entry import is_utf8
from ...http.json_array import decoded_array
from ...http.json_depth import is_deeper_in_turns
from ...nesting import JSON_DEPTH, is_deeper, too_deep
from .errors import CloudflareError, invalid

_T = TypeVar("_T")

_ITEM_DEPTH: Final = 2
"""How deep metadata stands in a body that is an array."""

SMALL_BYTES: Final = 1024 * 1024
"""The largest body of a request that has no values."""


def decoded(body: bytes | bytearray, decoder: msgspec.json.Decoder[_T]) -> _T:
    """Decode a body in JSON, whatever its content type: some clients send none."""
    _check_utf8(body)
    if is_deeper(body, JSON_DEPTH):
        raise _too_deep(JSON_DEPTH)
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable(error) from error


async def decoded_items(
    body: bytes | bytearray,
    array: msgspec.json.Decoder[list[_T]],
    item: msgspec.json.Decoder[_T],
    most: int,
    depth: int,
) -> list[_T]:
    """Return the items of a body that is an array. More than `most` are an error of Cloudflare's.

    `depth` is how deep the metadata of an item may be nested.
    """
    _check_utf8(body)
    if await is_deeper_in_turns(body, depth + _ITEM_DEPTH):
        raise _too_deep(depth)
    try:
        items = await decoded_array(body, array, item, most)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable(error) from error
    if len(items) > most:
        raise invalid(10029, f"too many pairs: expected at most {most:,}")
    return items


def _check_utf8(body: bytes | bytearray) -> None:
    if not (body.isascii() or is_utf8(body)):
        raise invalid(10012, "could not parse the request's body: it is not UTF-8")


def _too_deep(most: int) -> CloudflareError:
    return invalid(10012, f"could not parse the request's body: {too_deep(most)}")


def _unreadable(error: Exception) -> CloudflareError:
    # The decoder may quote a text as long as the body.
    at = "".join(getattr(error, "__notes__", ()))
    place = f"item {at}: " if at else ""
    return invalid(10012, f"could not parse the request's body: {place}{str(error)[:500]}")
