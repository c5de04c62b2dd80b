"""Translate errors of PostgreSQL and asyncpg to errors of a storage, by their codes."""

import ssl
from collections.abc import Mapping
from typing import Final

import asyncpg  # type: ignore[import-untyped]  # asyncpg has no types

from ...errors import StorageError, StorageFailure, StorageUnavailable
from ..sql.session import Lost, MissingTable, NotDone, TooManyConnections, Undone
from ..unreached import reason

ERRORS: Final = (
    *(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
    OSError,
)
"""All errors that asyncpg raises."""

# The beginnings of codes (PostgreSQL's manual, appendix A).
_UNDONE: Final = ("40001", "40P01")  # serialization failure, deadlock
_LOST: Final = ("08", "57P", "40003")  # the connection; a stop or start; an unknown outcome
_ENDED: Final = "57P"  # an operator has ended the connection
_UNAVAILABLE: Final = {
    "53100": StorageFailure.FULL,
    "53": StorageFailure.BUSY,  # other resources, such as memory
    "58": StorageFailure.OTHER,  # errors outside of the engine
    "57014": StorageFailure.BUSY,  # a statement that took too long
    "55P03": StorageFailure.BUSY,  # a lock that took too long
    "25006": StorageFailure.READ_ONLY,  # a standby, which takes no writes
}
_TOO_MANY_CONNECTIONS: Final = "53300"
_KINDS: Final = {
    "28": StorageFailure.REFUSED,  # the credentials
    "42501": StorageFailure.REFUSED,  # the privileges
    "3D000": StorageFailure.REMOVED,  # the database
    "3F000": StorageFailure.REMOVED,  # the schema
}
_MISSING_TABLE: Final = "42P01"
_ERROR: Final = b"E"  # the first byte of an error message


def translated(error: Exception, *, is_connected: bool) -> StorageError:
    """Return the error of a storage. `is_connected` says whether a statement may have been sent."""
    unreachable = Lost if is_connected else StorageUnavailable
    match error:
        case ssl.SSLCertVerificationError():
            return StorageError(
                f"PostgreSQL's certificate is not trusted: {error.verify_message}",
                StorageFailure.REFUSED,
            )
        case OSError():
            return unreachable(f"PostgreSQL cannot be reached: {reason(error)}")
        case asyncpg.InvalidCachedStatementError() | asyncpg.OutdatedSchemaCacheError():
            # asyncpg forgets its prepared statements, but cannot repeat a transaction.
            return Undone(f"PostgreSQL's table has changed: {error}")
        case asyncpg.DatatypeMismatchError():
            # The trigger that records changes keeps its plans as long as the connection lasts.
            return NotDone(f"PostgreSQL's table has changed: {error}")
        case asyncpg.PostgresError():
            code, message = error.sqlstate or "", error.args[0]
            if code.startswith(_UNDONE):
                return Undone(f"PostgreSQL is busy: {message}")
            if code.startswith(_LOST):
                return unreachable(f"PostgreSQL is not available: {message}")
            if code == _TOO_MANY_CONNECTIONS:
                return TooManyConnections(f"PostgreSQL is not available: {message}")
            if code == _MISSING_TABLE:
                return MissingTable(f"PostgreSQL: {message}")
            if kind := _kind(code, _UNAVAILABLE):
                return StorageUnavailable(f"PostgreSQL is not available: {message}", kind)
            kind = _kind(code, _KINDS) or StorageFailure.OTHER
            return StorageError(f"PostgreSQL: {message}", kind)
        case asyncpg.InternalClientError():
            return unreachable(f"PostgreSQL was not understood: {error}")
    return StorageError(f"PostgreSQL cannot be used: {error}")


def not_begun(error: Exception, answer: bytes) -> bool:
    """Return whether the server ended the connection before it began a statement.

    `answer` is the first byte that it sent after the statement. A server answers in order. If the
    first answer is the error with which it ends the connection, it has bound no values and
    executed nothing. A pooler in between uses other codes for its own errors.
    """
    if not answer:
        # asyncpg knew that the connection has ended, and has sent nothing.
        return isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError)
    cause = error.__cause__ if isinstance(error.__cause__, asyncpg.PostgresError) else error
    code = getattr(cause, "sqlstate", None) or ""
    return answer == _ERROR and code.startswith(_ENDED)


def _kind(code: str, kinds: Mapping[str, StorageFailure]) -> StorageFailure | None:
    return next((kind for start, kind in kinds.items() if code.startswith(start)), None)
