"""Decode the guards of the operations in a batch, which are their preconditions."""

from typing import Annotated, Literal, Protocol

from msgspec import UNSET, Meta, UnsetType

from ....operations import Precondition
from .decoding import invalid

IfVersion = Annotated[
    str | None,
    Meta(description="The version that the value must have; null: there must be no value"),
]
Versions = Annotated[
    Literal["*"] | list[str],
    Meta(description="Versions, or * for any, as in the header field of the same name"),
]
IfExpiresAt = Annotated[
    int | float | None,
    Meta(
        description="With if_version or if_match: when the value must expire, in Unix seconds; "
        "null: never"
    ),
]


class Guarded(Protocol):
    """An operation with the fields of its guard."""

    @property
    def if_version(self) -> str | UnsetType | None:
        """The version."""

    @property
    def if_match(self) -> Literal["*"] | list[str] | UnsetType:
        """The versions of which the entry must have one."""

    @property
    def if_none_match(self) -> Literal["*"] | list[str] | UnsetType:
        """The versions of which the entry must have none."""

    @property
    def if_expires_at(self) -> float | UnsetType | None:
        """The expiry."""


def guard_of(item: Guarded, path: tuple[str | int, ...]) -> Precondition | None:
    """Return the precondition of an operation, `None` if it has no guard."""
    version, match, none_match = item.if_version, item.if_match, item.if_none_match
    expires_at = item.if_expires_at
    guards = 3 - [version, match, none_match].count(UNSET)
    if guards == 0 and expires_at is UNSET:
        return None
    if guards > 1:
        raise invalid(path, "Expected if_version, if_match or if_none_match, and only one of them")
    if isinstance(version, str):
        return Precondition((version,), expires_at=expires_at)
    if match is not UNSET:
        return Precondition(_versions(match), expires_at=expires_at)
    if expires_at is not UNSET:
        raise invalid((*path, "if_expires_at"), "Expected this with if_match or a version")
    return Precondition(_versions(none_match), negated=True)


def _versions(given: Literal["*"] | list[str] | UnsetType) -> tuple[str, ...] | None:
    return tuple(given) if isinstance(given, list) else None
