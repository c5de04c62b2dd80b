"""From what went wrong in Redis to the errors of a storage: the only place that does it."""

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
from .request import Lost, TooFewReplicas

_UNSURE: Final = "the write may or may not have happened"

_FULL: Final = ("Redis has no memory left for it", StorageFailure.FULL)
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
    """What to raise, with the engine's own error as its cause. No message shows a password.

    What Redis answered was not done. Of what was sent and not answered nobody knows.
    """
    told = _told(error, writes=writes)
    told.__cause__ = error.__cause__ if isinstance(error, Lost) else error
    return told


def _told(error: Exception, *, writes: bool) -> StorageError:
    cause = error.__cause__ if isinstance(error, Lost) else error
    for refusal, told in _REFUSALS.items():
        if isinstance(cause, refusal):
            return StorageUnavailable(*told)
    if _TOO_MANY_CLIENTS in str(cause):
        return StorageUnavailable(
            "Redis takes no more connections (maxclients)", StorageFailure.BUSY
        )
    match cause:
        case TooFewReplicas():
            return StorageUnavailable(
                f"Too few replicas of Redis have it in time; {_UNSURE}", StorageFailure.OTHER
            )
        case AuthenticationError():
            return StorageError("Redis refuses the user or the password", StorageFailure.REFUSED)
        case NoPermissionError():
            return StorageError(f"Redis does not permit it: {cause}", StorageFailure.REFUSED)
        case AskError() | ClusterCrossSlotError():
            return StorageError(
                "Redis sends this to another server; expected redis+cluster:// for a cluster"
            )
    if isinstance(error, Lost) and not isinstance(cause, ResponseError):
        if error.sent and writes:
            return StorageUnavailable(f"Redis did not answer; {_UNSURE}")
        return StorageUnavailable("Redis does not answer")
    if _SCRIPT_MAY_NOT in str(cause):
        return StorageError(f"Redis does not permit it: {cause}", StorageFailure.REFUSED)
    found = _CODE.search(str(cause))
    if found:
        return StorageUnavailable(*_CODES[found[1]])
    return StorageError(f"Redis failed: {cause}")
