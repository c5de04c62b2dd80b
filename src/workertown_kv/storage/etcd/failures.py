"""Translate failures of etcd to errors of a storage."""

from enum import Enum
from typing import Final

from ...errors import (
    KvError,
    StorageError,
    StorageFailure,
    StorageUnavailable,
    StorageUnsupported,
    ValueTooLarge,
)
from ..unreached import because

UNSURE: Final = "the write may or may not have happened"


class Outcome(Enum):
    """Whether etcd did what an error answers."""

    NOT_DONE = "not done"
    """It was not done, and another member, or a later try, may do it."""
    UNKNOWN = "unknown"
    """It may have been done."""
    LOGIN = "login"
    """It was not done, and needs a new token."""
    FINAL = "final"
    """It was not done, and trying again does not help."""


class Lost(Exception):
    """A request without an answer. If it was `sent`, its write may have happened."""

    def __init__(self, *, sent: bool, cause: Exception) -> None:
        super().__init__(str(cause) or type(cause).__name__)
        self.outcome = Outcome.UNKNOWN if sent else Outcome.NOT_DONE
        self.__cause__ = cause


class Refused(Exception):
    """Etcd answered with an error."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.outcome = next(
            (outcome for part, outcome in _OUTCOMES.items() if part in text), Outcome.FINAL
        )


_OUTCOMES: Final = {
    "no leader": Outcome.NOT_DONE,
    "too many requests": Outcome.NOT_DONE,
    "not supported for learner": Outcome.NOT_DONE,
    "request timed out": Outcome.UNKNOWN,
    "leader changed": Outcome.UNKNOWN,
    "applied index took too long": Outcome.UNKNOWN,
    "server stopped": Outcome.UNKNOWN,
    "context deadline exceeded": Outcome.UNKNOWN,
    "context canceled": Outcome.UNKNOWN,
    "transport is closing": Outcome.UNKNOWN,
    "connection": Outcome.UNKNOWN,
    "invalid auth token": Outcome.LOGIN,
    "revision of auth store is old": Outcome.LOGIN,
    "revision in header is old": Outcome.LOGIN,
    "user name is empty": Outcome.LOGIN,
}
_UNAVAILABLE: Final = {
    "no leader": ("The etcd cluster has no leader", StorageFailure.UNREACHABLE),
    "too many requests": ("Etcd has too many requests at the moment", StorageFailure.BUSY),
    "space exceeded": (
        "The database of etcd has reached its quota (--quota-backend-bytes)",
        StorageFailure.FULL,
    ),
}
_REFUSED: Final = {
    "authentication failed": "Etcd refuses the user or the password",
    "invalid user ID or password": "Etcd refuses the user or the password",
    "authentication is not enabled": "Etcd knows no users, but the URL of etcd names a user",
    "user name is empty": "Etcd needs a user and a password, and the URL of etcd has none",
    "permission denied": "Etcd does not permit this to the user",
    "invalid auth token": "Etcd refuses the token that it gave",
}


def translated(error: Lost | Refused, *, writes: bool) -> KvError:
    """Return the error to raise, with its cause. No message shows the password."""
    failure = _failure(error, writes=writes)
    failure.__cause__ = error.__cause__ if isinstance(error, Lost) else error
    return failure


def late(in_doubt: bool) -> StorageUnavailable:
    """Return the error of an operation that had no answer in time."""
    unknown = f"Etcd did not answer in time; {UNSURE}"
    return StorageUnavailable(unknown if in_doubt else "Etcd does not answer in time")


def _failure(error: Lost | Refused, *, writes: bool) -> KvError:
    text = str(error)
    if error.outcome is Outcome.UNKNOWN and writes:
        return StorageUnavailable(f"Etcd did not confirm the write ({text}); {UNSURE}")
    if isinstance(error, Lost):
        return StorageUnavailable(f"Etcd does not answer{because(error) or f' ({text})'}")
    for part, message_and_kind in _UNAVAILABLE.items():
        if part in text:
            return StorageUnavailable(*message_and_kind)
    if error.outcome in (Outcome.NOT_DONE, Outcome.UNKNOWN):
        return StorageUnavailable(f"Etcd does not answer: {text}")
    for part, message in _REFUSED.items():
        if part in text:
            return StorageError(message, StorageFailure.REFUSED)
    # Far beyond the limit, gRPC refuses the request before etcd sees it.
    if "request is too large" in text or "message larger than max" in text:
        return ValueTooLarge(
            "Etcd accepts no request of this size (--max-request-bytes); expected less at once, "
            "and the same number as request_bytes in the URL of etcd"
        )
    if "too many operations" in text:
        return StorageUnsupported(
            "Etcd accepts fewer operations in a transaction than this needs (--max-txn-ops)"
        )
    return StorageError(f"Etcd failed: {text}")
