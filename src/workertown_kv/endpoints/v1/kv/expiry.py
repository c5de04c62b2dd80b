"""Decode lifetimes: in whole seconds, or precisely if a client asks for it."""

from collections.abc import Mapping

from msgspec import UNSET, UnsetType

from ....entry import lifetime
from ....http.query import is_true
from .decoding import invalid


def is_precise(parameters: Mapping[str, str]) -> bool:
    """Return whether a request takes and gives expiries with fractions of a second."""
    return bool(parameters) and is_true(parameters, "precise")


def expiry_of(
    ttl: int | UnsetType,
    expires_at: float | UnsetType | None,
    now: float,
    path: tuple[str | int, ...] = (),
    *,
    is_precise: bool = False,
) -> float | None:
    """Return when an entry expires by the fields of a body, which is at `path`."""
    given = None if expires_at is UNSET else expires_at
    if isinstance(given, float) and not is_precise and not given.is_integer():
        raise invalid((*path, "expires_at"), "Expected whole seconds, or ?precise=true")
    return lifetime(ttl=None if ttl is UNSET else ttl, expires_at=given, now=now, path=path)
