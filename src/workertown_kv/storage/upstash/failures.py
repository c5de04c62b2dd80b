"""From what went wrong with Upstash to the errors of a storage: the only place that does it."""

import re
from typing import Final

import httpx2

from ...errors import (
    KeyTooLong,
    KvError,
    StorageError,
    StorageFailure,
    StorageUnavailable,
    ValueTooLarge,
)

UNSURE: Final = "Upstash did not answer; the write may or may not have happened"

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
_NEVER_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class Refused(Exception):
    """Upstash answered with an error: it did nothing."""


class Lost(Exception):
    """There was no answer. `sent` says whether the request was, so that it may have happened.

    What went wrong is the cause.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.sent = not isinstance(cause, _NEVER_SENT)


def translated(error: Refused | Lost, *, writes: bool) -> KvError:
    """What to raise, with what went wrong as its cause. No message shows the token."""
    if isinstance(error, Lost):
        unsure = error.sent and writes
        told: KvError = StorageUnavailable(UNSURE if unsure else "Upstash does not answer")
        told.__cause__ = error.__cause__
    else:
        told = _told(str(error))
        told.__cause__ = error
    return told


def _told(text: str) -> KvError:
    found = _UNAVAILABLE_FOUND.search(text)
    if found:
        return StorageUnavailable(*_UNAVAILABLE[found[1]])
    if "max key size exceeded" in text:
        return KeyTooLong(f"Upstash takes no key of this length: {text}")
    if "max request size exceeded" in text or "max single record size exceeded" in text:
        return ValueTooLarge(f"Upstash does not take so much at once: {text}")
    if text.startswith(("WRONGPASS", "NOAUTH")):
        return StorageError("Upstash refuses the token", StorageFailure.REFUSED)
    if text.startswith("NOPERM"):
        return StorageError(f"Upstash does not permit it: {text}", StorageFailure.REFUSED)
    return StorageError(f"Upstash failed: {text}")
