"""Decode puts of single values, for both of Cloudflare's APIs."""

from collections.abc import Mapping
from typing import NamedTuple

from ...operations import Precondition, Set
from ...user import User
from .limits import Limits


class PutHead(NamedTuple):
    """What a put says before its body."""

    namespace: str
    key: str
    expires_at: float | None = None
    metadata: bytes | None = None
    precondition: Precondition | None = None


def decode_put_head(
    user: User, namespace: str, key: str, asked: Mapping[str, str], *, limits: Limits, now: float
) -> PutHead:
    """Check that the user may write the key, and return its expiry by the query."""
    # The storage would refuse it too, but only once the whole body is here.
    user.check_key("write", namespace, key)
    expires_at = limits.expires_at(asked.get("expiration_ttl"), asked.get("expiration"), now)
    return PutHead(namespace, key, expires_at)


async def decode_put(head: PutHead, value: bytes | bytearray, limits: Limits) -> Set:
    """Return what a put writes, with a pause for other requests if the value is long."""
    return Set(
        namespace=head.namespace,
        key=head.key,
        value=bytes(value),
        is_json=await limits.is_json(value),
        metadata=head.metadata,
        expires_at=head.expires_at,
        precondition=head.precondition,
    )
