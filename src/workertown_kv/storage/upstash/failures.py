"""Translate failures of Upstash to errors of a storage."""

import re
from typing import Final

from ...errors import (
    KeyTooLong,
    KvError,
    StorageError,
    StorageFailure,
    StorageUnavailable,
    ValueTooLarge,
)
from ..keyspace import Lost

_FULL: Final = ("The database at Upstash is full", StorageFailure.FULL)
_UNAVAILABLE: Final = {
    "max requests limit exceeded": (
        "Upstash takes no more requests from this database this month",
        StorageFailure.REFUSED,
    ),
    "max daily request limit exceeded": (
        "Upstash takes no more requests from this database today",
        StorageFailure.REFUSED,
    ),
    "max concurrent connections exceeded": (
        "Upstash has too many connections to this database",
        StorageFailure.BUSY,
    ),
    "capacity quota exceeded": _FULL,
    "OOM": _FULL,
    "LOADING": ("Upstash is still loading the data", StorageFailure.BUSY),
    "READONLY": ("Upstash has no server that takes writes at the moment", StorageFailure.READ_ONLY),
    "BUSY": ("Upstash is busy with a script", StorageFailure.BUSY),
}
_UNAVAILABLE_FOUND: Final = re.compile(rf"\b({'|'.join(_UNAVAILABLE)})\b")


class Refused(Exception):
    """Upstash answered with an error, and did not run the command."""


def translated(error: Refused | Lost, *, writes: bool) -> KvError:
    """Return the error to raise, with its cause. No message shows the token."""
    if isinstance(error, Lost):
        failure: KvError = error.failure("Upstash", writes=writes)
        failure.__cause__ = error.__cause__
    else:
        failure = _failure(str(error))
        failure.__cause__ = error
    return failure


def _failure(text: str) -> KvError:
    found = _UNAVAILABLE_FOUND.search(text)
    if found:
        return StorageUnavailable(*_UNAVAILABLE[found[1]])
    if "max key size exceeded" in text:
        return KeyTooLong(f"Upstash does not accept a key of this length: {text}")
    if "max request size exceeded" in text or "max single record size exceeded" in text:
        return ValueTooLarge(f"Upstash does not accept a request of this size: {text}")
    if text.startswith(("WRONGPASS", "NOAUTH")):
        return StorageError("Upstash refuses the token", StorageFailure.REFUSED)
    if text.startswith("NOPERM"):
        return StorageError(f"Upstash does not permit this: {text}", StorageFailure.REFUSED)
    return StorageError(f"Upstash failed: {text}")
