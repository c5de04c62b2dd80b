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

from ...errors import StorageError, StorageUnavailable
from .request import Lost, TooFewReplicas

_UNSURE: Final = "the write may or may not have happened"

_REFUSALS: Final = {
    OutOfMemoryError: "Redis has no memory left for it",
    ReadOnlyError: "This Redis is a replica, which takes no writes",
    BusyLoadingError: "Redis is still loading its data",
    ClusterDownError: "The Redis cluster is down",
    TryAgainError: "The Redis cluster is moving this key from one server to another",
}
_CODES: Final = {
    "OOM": "Redis has no memory left for it",
    "READONLY": "This Redis is a replica, which takes no writes",
    "MISCONF": "Redis takes no writes, because it cannot save them",
    "NOREPLICAS": "Redis takes no writes, because too few replicas are connected",
    "MASTERDOWN": "This Redis is a replica that has lost its master",
    "BUSY": "Redis is busy with a script",
}
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
    for kind, message in _REFUSALS.items():
        if isinstance(cause, kind):
            return StorageUnavailable(message)
    match cause:
        case TooFewReplicas():
            return StorageUnavailable(f"Too few replicas of Redis have it in time; {_UNSURE}")
        case AuthenticationError():
            return StorageError("Redis refuses the user or the password")
        case NoPermissionError():
            return StorageError(f"Redis does not permit it: {cause}")
        case AskError() | ClusterCrossSlotError():
            return StorageError(
                "Redis sends this to another server; expected redis+cluster:// for a cluster"
            )
    if isinstance(error, Lost) and not isinstance(cause, ResponseError):
        if error.sent and writes:
            return StorageUnavailable(f"Redis did not answer; {_UNSURE}")
        return StorageUnavailable("Redis does not answer")
    found = _CODE.search(str(cause))
    if found:
        return StorageUnavailable(_CODES[found[1]])
    return StorageError(f"Redis failed: {cause}")
