"""Decode the JSON bodies of a `PUT`, with values that are checked but not encoded again."""

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from ....entry import check_value_size, compact_metadata
from ....operations import Precondition, Set
from ....options import LimitsOptions
from ...schemas import GivenExpiresAt, Metadata, Ttl, Value
from .decoding import Body, check_depth, decode
from .expiry import expiry_of


class PutBody(Body, frozen=True, gc=False):
    """The value to write. Without ttl and expires_at, it stays until it is deleted."""

    value: Value
    ttl: Ttl | UnsetType = UNSET
    expires_at: GivenExpiresAt | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


_PUT: Final = msgspec.json.Decoder(PutBody)
_PUT_DEPTH: Final = 1
"""How deep a value or metadata is nested in the body of a `PUT`."""


async def decode_put(
    body: bytes | bytearray,
    *,
    namespace: str,
    key: str,
    precondition: Precondition | None,
    limits: LimitsOptions,
    now: float,
    is_precise: bool = False,
) -> Set:
    """Return the operation in the body of a `PUT`."""
    await check_depth(body, limits.json_depth, _PUT_DEPTH)
    put = decode(_PUT, body)
    value = bytes(put.value)
    check_value_size(len(value), limits.value_bytes)
    return Set(
        namespace=namespace,
        key=key,
        value=value,
        metadata=None if put.metadata is UNSET else compact_metadata(bytes(put.metadata)),
        expires_at=expiry_of(put.ttl, put.expires_at, now, is_precise=is_precise),
        precondition=precondition,
    )
