"""Translate failures of Redis to errors of a storage."""

import re
from typing import Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from ...errors import StorageError, StorageFailure, StorageUnavailable
from ..keyspace import Lost
from ..keyspace.transport import UNSURE
from .request import TooFewReplicas

_FULL: Final = ("Redis has no memory left for this", StorageFailure.FULL)
_REPLICA: Final = ("This Redis is a replica, which takes no writes", StorageFailure.READ_ONLY)

_REFUSALS: Final = {
    OutOfMemoryError: _FULL,
    ReadOnlyError: _REPLICA,
    BusyLoadingError: ("Redis is still loading its data", StorageFailure.BUSY),
    ClusterDownError: ("The Redis cluster is down", StorageFailure.UNREACHABLE),
    TryAgainError: (
        "The Redis cluster is moving this key from one server to another",
        StorageFailure.BUSY,
    ),
}
_CODES: Final = {
    "OOM": _FULL,
    "READONLY": _REPLICA,
    "MISCONF": ("Redis takes no writes, because it cannot save them", StorageFailure.FULL),
    "NOREPLICAS": (
        "Redis takes no writes, because too few replicas are connected",
        StorageFailure.READ_ONLY,
    ),
    "MASTERDOWN": (
        "This Redis is a replica that has lost its master",
        StorageFailure.UNREACHABLE,
    ),
    "BUSY": ("Redis is busy with a script", StorageFailure.BUSY),
}
_TOO_MANY_CLIENTS: Final = "max number of clients"
_SCRIPT_MAY_NOT: Final = "The user executing the script can't"
_CODE: Final = re.compile(rf"\b({'|'.join(_CODES)})\b")


def translated(error: Exception, *, writes: bool) -> StorageError:
    """Return the error to raise, whose cause is the error of Redis. No message shows a password.

    Redis did not run a call that it answered with an error. It may or may not have run a call
    without an answer.
    """
    cause = error.__cause__ if isinstance(error, Lost) else error
    failure = _failure(error, cause, writes=writes)
    failure.__cause__ = cause
    return failure


def _failure(error: Exception, cause: BaseException | None, *, writes: bool) -> StorageError:
    for refusal, message_and_kind in _REFUSALS.items():
        if isinstance(cause, refusal):
            return StorageUnavailable(*message_and_kind)
    if _TOO_MANY_CLIENTS in str(cause):
        return StorageUnavailable(
            "Redis takes no more connections (maxclients)", StorageFailure.BUSY
        )
    match cause:
        case TooFewReplicas():
            return StorageUnavailable(
                f"Too few replicas of Redis have the write in time; {UNSURE}", StorageFailure.OTHER
            )
        case AuthenticationError():
            return StorageError("Redis refuses the user or the password", StorageFailure.REFUSED)
        case NoPermissionError():
            return StorageError(f"Redis does not permit this: {cause}", StorageFailure.REFUSED)
        case AskError() | ClusterCrossSlotError():
            return StorageError(
                "Redis sends this to another server; expected redis+cluster:// for a cluster"
            )
    if isinstance(error, Lost) and not isinstance(cause, ResponseError):
        return error.failure("Redis", writes=writes)
    if _SCRIPT_MAY_NOT in str(cause):
        return StorageError(f"Redis does not permit this: {cause}", StorageFailure.REFUSED)
    found = _CODE.search(str(cause))
    if found:
        return StorageUnavailable(*_CODES[found[1]])
    return StorageError(f"Redis failed: {cause}")
