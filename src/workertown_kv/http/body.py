"""Read the body of a request."""

import asyncio
from contextlib import suppress
from typing import Final

from ..entry import is_utf8
from ..errors import Detail, InputError, RequestTimeout, UnsupportedMediaType, ValueTooLarge
from .exchange import Exchange
from .memory import UNCOUNTED_BYTES

BODY_COPIES: Final = 2
"""How often a body is in memory: as it arrived, and as the value on its way into the storage."""

SLOWEST_BYTES: Final = 16 * 1024
"""The fewest bytes per second of a body that takes longer than its time."""

_MOST_DIGITS: Final = 18
_READ_BYTES: Final = 1024 * 1024
_READ_SECONDS: Final = 1


def media_type_of(exchange: Exchange) -> bytes:
    """Return the media type of the body, in lower case; empty if the request names none."""
    return exchange.fields.get(b"content-type", b"").partition(b";")[0].strip().lower()


def check_json(exchange: Exchange) -> None:
    """Refuse a body whose `Content-Type` is not JSON."""
    content_type = exchange.fields.get(b"content-type")
    media_type = (content_type or b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        got = f"got {content_type[:100].decode('latin-1')}" if content_type else "there is none"
        raise UnsupportedMediaType(f"Expected Content-Type: application/json; {got}")


def check_not_encoded(exchange: Exchange) -> None:
    """Refuse a body with a `Content-Encoding`, which the server would not decode."""
    encoding = exchange.fields.get(b"content-encoding")
    if encoding and encoding.strip().lower() != b"identity":
        raise UnsupportedMediaType(
            f"Expected a body without Content-Encoding; got {encoding[:100].decode('latin-1')}"
        )


async def read_body(
    exchange: Exchange, limit: int, what: str, *, seconds: float
) -> bytes | bytearray:
    """Read a body of at most `limit` bytes, which may take `seconds` and a time for its size.

    Raises `UnsupportedMediaType` for a compressed body, `ValueTooLarge` as soon as the body is
    known to be too large, without reading the rest, `RequestTimeout` for a body that arrives too
    slowly, and `Overloaded` if other requests hold the memory.
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
            body = bytearray()
            size = 0
            while True:
                message = await exchange.receive()
                if message["type"] == "http.disconnect":
                    raise InputError("The body ended before it was whole")
                piece: bytes = message.get("body", b"")
                is_last = not message.get("more_body")
                end = size + len(piece)
                if end > limit:
                    raise ValueTooLarge(too_large)
                if end - counted > UNCOUNTED_BYTES:
                    exchange.hold(BODY_COPIES * (end - counted))
                    counted = end
                if is_last and not size:
                    return piece
                if not size:
                    # All memory at once: a body that grows by its pieces takes an eighth more.
                    body = bytearray(int(length or 0))
                body[size:end] = piece
                size = end
                if is_last:
                    del body[size:]
                    return body
                allowed.reschedule(deadline + size / SLOWEST_BYTES)
    except TimeoutError as error:
        raise RequestTimeout(f"The body did not arrive within {seconds} s") from error


def check_utf8(body: bytes | bytearray) -> None:
    """Refuse a body that is not in UTF-8, the encoding of JSON (RFC 8259, 8.1)."""
    if not body.isascii() and not is_utf8(body):
        raise InputError(
            "Invalid request body", details=[Detail("body", (), "Expected JSON in UTF-8")]
        )


async def read_rest(exchange: Exchange) -> None:
    """Read the rest of a small body.

    The HTTP server closes the connection if part of a body is unread. A client that is still
    sending may then see the closed connection instead of the answer.
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
