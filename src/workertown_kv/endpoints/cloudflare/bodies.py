"""Bodies in JSON, as Cloudflare's clients send them."""

from typing import Final, TypeVar

import msgspec

from ...entry import is_utf8
from .errors import invalid

_T = TypeVar("_T")

SMALL_BYTES: Final = 1024 * 1024
"""The largest body of a request that has no values."""


def decoded(body: bytes | bytearray, decoder: msgspec.json.Decoder[_T]) -> _T:
    """What a body in JSON says. The content type is not looked at: some clients send none."""
    if not (body.isascii() or is_utf8(body)):
        raise invalid(10012, "could not parse the request's body: it is not UTF-8")
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(10012, f"could not parse the request's body: {error}") from error
