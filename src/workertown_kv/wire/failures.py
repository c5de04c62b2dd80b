"""Make the errors that an answer of the native API stands for."""

from collections.abc import Mapping, Sequence
from typing import Final

from ..errors import (
    Conflict,
    CursorGone,
    Detail,
    IdempotencyKeyReused,
    InputError,
    KeyTooLong,
    KvError,
    NotAcceptable,
    NotFound,
    PatchConflict,
    PreconditionFailed,
    StorageError,
    StorageFailure,
    StorageUnavailable,
    StorageUnsupported,
    UnsupportedMediaType,
    ValueTooLarge,
)

_KINDS: Final[Mapping[int, type[KvError]]] = {
    400: InputError,
    404: NotFound,
    406: NotAcceptable,
    409: PatchConflict,
    410: CursorGone,
    412: PreconditionFailed,
    413: ValueTooLarge,
    414: KeyTooLong,
    415: UnsupportedMediaType,
    422: IdempotencyKeyReused,
    501: StorageUnsupported,
}
"""The errors that an operation on entries can raise, by the statuses of their answers."""

_BUSY: Final = (408, 429)


def failure_of(status: int, message: str, details: Sequence[Detail] = ()) -> KvError:
    """Return the error with which an operation failed, by its status and message.

    An error of the caller's input becomes the same error here. Any other becomes a `StorageError`,
    so that a refused token is no refusal of the caller.
    """
    failed = [detail.path[1] for detail in details if detail.path[:1] == ("operations",)]
    if status == 409 and failed:
        return Conflict([index for index in failed if isinstance(index, int)])
    kind = _KINDS.get(status)
    if kind is not None:
        wrong = "; ".join(f"{_where(detail)}{detail.message}" for detail in details)
        return made(kind, wrong or message)
    if status in _BUSY or (status == 503 and "Too many" in message):
        return StorageUnavailable(message, StorageFailure.BUSY)
    if status in (502, 503, 504):
        return StorageUnavailable(message, _kind_in(message))
    if status in (401, 403):
        return StorageError(message, StorageFailure.REFUSED)
    return StorageError(message)


def made(kind: type[KvError], message: str) -> KvError:
    """Return an error of this class with this message, whatever message the class would make."""
    error = kind.__new__(kind)
    if isinstance(error, StorageError):
        StorageError.__init__(error, message)
    else:
        KvError.__init__(error, message)
    return error


def _kind_in(message: str) -> StorageFailure:
    """Return the kind of failure that an answer about the health names at its end."""
    found = message.rpartition(": ")[2]
    known = [kind for kind in StorageFailure if kind == found]
    return known[0] if known else StorageFailure.UNREACHABLE


def _where(detail: Detail) -> str:
    names = [str(name) for name in detail.path if name != "operations" and isinstance(name, str)]
    return f"{'.'.join(names)}: " if names else ""
