"""Know the envelope of the native API, around every success and every error."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from ..errors import Detail

OPENING: Final = b'{"status":200,"success":true,"data":'
CLOSING: Final = b"}"


class Envelope(msgspec.Struct, frozen=True):
    """An answer of the native API."""

    status: int
    success: bool
    data: Raw
    error: str = ""
    errors: Sequence[Detail] = ()


_DECODER: Final = msgspec.json.Decoder(Envelope)


def decode_envelope(body: bytes) -> Envelope | None:
    """Return the envelope in a body, `None` if the body is no answer of the native API."""
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
