"""Describe what a store can do, so that a server in front of it knows."""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta


class About(msgspec.Struct, frozen=True):
    """What a store can do."""

    lacks: Annotated[
        Mapping[str, str],
        Meta(description="What the storage does not support, each with the reason"),
    ]
    limits: Annotated[
        Mapping[str, int],
        Meta(description="The largest sizes that the server accepts, as in its options"),
    ]
    now: Annotated[float, Meta(description="The time of the server, in Unix seconds")]
    idempotency: Annotated[bool, Meta(description="Whether Idempotency-Key is supported")] = False


LIMITS: Final = ("key_bytes", "value_bytes", "batch_operations", "batch_bytes", "patch_bytes")
"""The limits that a client may need to know."""

_DECODER: Final = msgspec.json.Decoder(About)


def decode_about(data: bytes) -> About:
    """Return the description in an answer. Raises `ValueError` for data of another form."""
    return _DECODER.decode(data)
