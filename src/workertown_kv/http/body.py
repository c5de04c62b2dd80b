"""Read the body of a request."""

import asyncio
from contextlib import suppress
from typing import Final

from ..entry import is_utf8
from ..errors import Detail, InputError, RequestTimeout, UnsupportedMediaType, ValueTooLarge
from .exchange import Exchange
from .memory import UNCOUNTED_BYTES

BODY_COPIES: Final = 2
"""A body, and what is made of it: the value, and a copy on its way into the storage."""

SLOWEST_BYTES: Final = 16 * 1024
"""How many bytes a second a body has to bring at least, once its time is up."""

_MOST_DIGITS: Final = 18
_READ_BYTES: Final = 1024 * 1024
_READ_SECONDS: Final = 1


def check_json(exchange: Exchange) -> None:
    """Accept bodies that say they are JSON."""
    content_type = exchange.fields.get(b"content-type")
    media_type = (content_type or b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        got = f"got {content_type[:100].decode('latin-1')}" if content_type else "there is none"
        raise UnsupportedMediaType(f"Expected Content-Type: application/json; {got}")


def check_not_encoded(exchange: Exchange) -> None:
    """Accept bodies that are sent as they are: nothing here would undo a `Content-Encoding`."""
    encoding = exchange.fields.get(b"content-encoding")
    if encoding and encoding.strip().lower() != b"identity":
        raise UnsupportedMediaType(
            f"Expected a body without Content-Encoding; got {encoding[:100].decode('latin-1')}"
        )


async def read_body(
    exchange: Exchange, limit: int, what: str, *, seconds: float
) -> bytes | bytearray:
    """Read the body, of at most `limit` bytes, which has `seconds` and a little more to arrive.

    Raises `UnsupportedMediaType` for one that is compressed, `ValueTooLarge` as soon as it is known
    to have more, without reading the rest, `RequestTimeout` for one that trickles in, and
    `Overloaded` where other requests take the memory for it.
    """
    check_not_encoded(exchange)
    counted = 0
    too_large = f"The body has more than {limit:,} bytes, the most that {what} may have"
    length = exchange.fields.get(b"content-length")
    if length is not None:
        if not length.isdigit() or len(length) > _MOST_DIGITS:
            raise InputError("Expected a Content-Length in decimal digits")
        if int(length) > limit:
            raise ValueTooLarge(too_large)
    if exchange.body is not None:
        return exchange.body
    try:
        async with asyncio.timeout(seconds) as allowed:
            deadline = allowed.when() or 0.0
            message = await exchange.receive()
            body: bytes | bytearray = message.get("body", b"")
            if message.get("more_body"):
                body = bytearray(body)
            while True:
                if message["type"] == "http.disconnect":
                    raise InputError("The body ended before it was whole")
                if len(body) > limit:
                    raise ValueTooLarge(too_large)
                if len(body) - counted > UNCOUNTED_BYTES:
                    exchange.hold(BODY_COPIES * (len(body) - counted))
                    counted = len(body)
                if not message.get("more_body"):
                    return body
                allowed.reschedule(deadline + len(body) / SLOWEST_BYTES)
                message = await exchange.receive()
                body += message.get("body", b"")
    except TimeoutError as error:
        raise RequestTimeout(f"The body did not arrive within {seconds} s") from error


def check_utf8(body: bytes | bytearray) -> None:
    """Accept bodies in UTF-8, the encoding of JSON (RFC 8259, 8.1)."""
    if not body.isascii() and not is_utf8(body):
        raise InputError(
            "Invalid request body", details=[Detail("body", (), "Expected JSON in UTF-8")]
        )


async def read_rest(exchange: Exchange) -> None:
    """Read what is left of a small body.

    A connection is closed where some of it is unread, and a client that is still sending then
    may see that instead of the answer.
    """
    fields = exchange.fields
    length = fields.get(b"content-length")
    if fields.get(b"expect") or (length is None and not fields.get(b"transfer-encoding")):
        return
    left = _READ_BYTES if length is None or not length.isdigit() else int(length[:18])
    if left > _READ_BYTES:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_READ_SECONDS):
            while left >= 0:
                message = await exchange.receive()
                if not message.get("more_body"):
                    return
                left -= len(message.get("body", b""))
