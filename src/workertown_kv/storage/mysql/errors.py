"""Translate errors of MySQL and asyncmy to errors of a storage, by their codes."""

import ssl
from typing import Final

from asyncmy.errors import MySQLError

from ...errors import StorageError, StorageFailure, StorageUnavailable
from ..sql.session import Lost, MissingTable, NotDone, TooManyConnections, Undone
from ..unreached import reason
from .login import NO_METHOD, NO_TLS

ERRORS: Final = (MySQLError, OSError)
"""All errors that asyncmy raises."""

_UNDONE: Final = frozenset(
    {
        *(1213, 1020, 1615),  # a deadlock; a row that was changed; a table that is being changed
        *(8002, 8022, 8028, 9007),  # TiDB's own: it has undone the transaction
    }
)

_NOT_DONE: Final = frozenset(
    {
        0,  # asyncmy knew that the connection has ended, and has sent nothing
        *(1053, 1927, 3169, 4031),  # the server has ended the connection instead of answering
    }
)

_LOST: Final = frozenset(
    {
        *(2006, 2013, 2014),  # asyncmy's own
        *(1152, 1158, 1159, 1160, 1161),  # the network
        1180,  # a commit that failed midway, for example if a node of Galera loses the others
        *(9001, 9002, 9003, 9005),  # TiDB's own: a part of its cluster does not answer
    }
)

_TOO_MANY_CONNECTIONS: Final = frozenset({1040, 1203, 1226})

_UNAVAILABLE: Final = {
    **dict.fromkeys((1129, 1047, 2003), StorageFailure.UNREACHABLE),  # it accepts no client now
    1461: StorageFailure.BUSY,  # too many prepared statements
    **dict.fromkeys((1205, 1317, 1969, 3024, 3572), StorageFailure.BUSY),  # a timeout
    **dict.fromkeys((1021, 1114), StorageFailure.FULL),
    **dict.fromkeys((1290, 1836), StorageFailure.READ_ONLY),  # a replica, which takes no writes
}

_KINDS: Final = {
    **dict.fromkeys((1044, 1045, 1142, 1143, 1227, 1370, 1419, 1698), StorageFailure.REFUSED),
    # TLS that the server requires, or lacks, and a method to log in that this client lacks
    **dict.fromkeys((3159, NO_TLS, NO_METHOD), StorageFailure.REFUSED),
    1049: StorageFailure.REMOVED,  # the database
}
_MISSING_TABLE: Final = 1146


def translated(error: Exception, *, is_connected: bool) -> StorageError:
    """Return the error of a storage. `is_connected` says whether a statement may have been sent."""
    unreachable = Lost if is_connected else StorageUnavailable
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return StorageError(
            f"MySQL's certificate is not trusted: {cause.verify_message}", StorageFailure.REFUSED
        )
    if isinstance(cause, OSError):
        return unreachable(f"MySQL cannot be reached: {reason(cause)}")
    match error.args:
        case (int(code), str(message), *_):
            return _of_code(code, message, unreachable)
    # An error of asyncmy itself: it and the server no longer understand each other.
    return unreachable(f"MySQL was not understood: {error}")


def _of_code(code: int, message: str, unreachable: type[StorageUnavailable]) -> StorageError:
    if code in _UNDONE:
        return Undone(f"MySQL is busy: {message}")
    if code in _NOT_DONE and unreachable is Lost:
        return NotDone(f"MySQL is not available: {message}")
    if code in _LOST or code in _NOT_DONE:
        return unreachable(f"MySQL is not available: {message}")
    if code in _TOO_MANY_CONNECTIONS:
        return TooManyConnections(f"MySQL is not available: {message}")
    if code in _UNAVAILABLE:
        return StorageUnavailable(f"MySQL is not available: {message}", _UNAVAILABLE[code])
    if code == _MISSING_TABLE:
        return MissingTable(f"MySQL: {message}")
    return StorageError(f"MySQL: {message}", _KINDS.get(code, StorageFailure.OTHER))
