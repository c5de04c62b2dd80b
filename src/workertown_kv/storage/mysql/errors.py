"""What MySQL and asyncmy raise, as errors of ours. The one place that knows their codes."""

import ssl
from typing import Final

from asyncmy.errors import MySQLError

from ...errors import StorageError, StorageUnavailable
from ..sql import Lost, MissingTable, Undone, reason

ERRORS: Final = (MySQLError, OSError)
"""All that asyncmy raises."""

_UNDONE: Final = frozenset({1213, 1020, 1615})
"""A deadlock; a row that another transaction has changed; a table that is being changed."""

_LOST: Final = frozenset(
    {
        *(0, 2006, 2013, 2014),  # asyncmy's own
        *(1053, 1927, 3169, 4031),  # the server stops, or has ended the connection
        *(1152, 1158, 1159, 1160, 1161),  # the network
        1180,  # a commit that failed on its way, as where a node of Galera loses the others
    }
)

_UNAVAILABLE: Final = frozenset(
    {
        *(1040, 1129, 1203, 1226),  # too many connections, or failed ones
        1461,  # too many prepared statements
        *(1205, 1317, 1969, 3024),  # a lock, or a statement, took longer than it may
        *(1021, 1114),  # there is no space left
        *(1290, 1836),  # a replica, which takes no writes
        *(1047, 2003),  # a node of a cluster that is not ready; nothing listens
    }
)
_MISSING_TABLE: Final = 1146


def translated(error: Exception, *, asked: bool) -> StorageError:
    """The error of ours. `asked` says whether it came after something was asked."""
    unreachable = Lost if asked else StorageUnavailable
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return StorageError(f"MySQL's certificate is not trusted: {cause.verify_message}")
    if isinstance(cause, OSError):
        return unreachable(f"MySQL cannot be reached: {reason(cause)}")
    match error.args:
        case (int(code), str(message), *_):
            return _of_code(code, message, unreachable)
    # What asyncmy says by itself: it and the server no longer understand each other.
    return unreachable(f"MySQL was not understood: {error}")


def _of_code(code: int, message: str, unreachable: type[StorageUnavailable]) -> StorageError:
    if code in _UNDONE:
        return Undone(f"MySQL is busy: {message}")
    if code in _LOST:
        return unreachable(f"MySQL is not available: {message}")
    if code in _UNAVAILABLE:
        return StorageUnavailable(f"MySQL is not available: {message}")
    if code == _MISSING_TABLE:
        return MissingTable(f"MySQL: {message}")
    return StorageError(f"MySQL: {message}")
