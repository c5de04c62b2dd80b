"""What PostgreSQL and asyncpg raise, as errors of ours. The one place that knows their codes."""

import ssl
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from ...errors import StorageError, StorageUnavailable
from ..sql import Lost, MissingTable, Undone, reason

ERRORS: Final = (
    *(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
    OSError,
)
"""All that asyncpg raises."""

# How the codes begin (PostgreSQL's manual, appendix A).
_UNDONE: Final = ("40001", "40P01")  # serialization failure, deadlock
_LOST: Final = ("08", "57P", "40003")  # the connection; it stops or starts; it does not know
_UNAVAILABLE: Final = (
    *("53", "58"),  # resources, such as space or connections; what is outside of the engine
    *("57014", "55P03"),  # a statement, or a lock, took longer than it may
    "25006",  # a standby, which takes no writes
)
_MISSING_TABLE: Final = "42P01"


def translated(error: Exception, *, asked: bool) -> StorageError:
    """The error of ours. `asked` says whether it came after something was asked."""
    unreachable = Lost if asked else StorageUnavailable
    match error:
        case ssl.SSLCertVerificationError():
            return StorageError(f"PostgreSQL's certificate is not trusted: {error.verify_message}")
        case OSError():
            return unreachable(f"PostgreSQL cannot be reached: {reason(error)}")
        case asyncpg.InvalidCachedStatementError() | asyncpg.OutdatedSchemaCacheError():
            # In a transaction asyncpg cannot repeat it; it forgets what it had prepared.
            return Undone(f"PostgreSQL's table has changed: {error}")
        case asyncpg.PostgresError():
            code, message = error.sqlstate or "", error.args[0]
            if code.startswith(_UNDONE):
                return Undone(f"PostgreSQL is busy: {message}")
            if code.startswith(_LOST):
                return unreachable(f"PostgreSQL is not available: {message}")
            if code.startswith(_UNAVAILABLE):
                return StorageUnavailable(f"PostgreSQL is not available: {message}")
            if code == _MISSING_TABLE:
                return MissingTable(f"PostgreSQL: {message}")
            return StorageError(f"PostgreSQL: {message}")
        case asyncpg.InternalClientError():
            return unreachable(f"PostgreSQL was not understood: {error}")
    return StorageError(f"PostgreSQL cannot be used: {error}")
