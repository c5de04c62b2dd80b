"""Encode expiries: in whole seconds, or precisely if a client asks for it."""

from msgspec import UNSET, UnsetType

from ...entry import whole_seconds


def shown_expiry(expires_at: float | None, *, is_precise: bool) -> float | UnsetType:
    """Return an expiry as clients get it."""
    if expires_at is None:
        return UNSET
    if is_precise and not expires_at.is_integer():
        return expires_at
    return whole_seconds(expires_at)
