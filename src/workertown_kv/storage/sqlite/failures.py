"""Translate SQLite's errors to errors of a storage. Only this module knows SQLite's codes."""

import errno
from pathlib import Path

import apsw

from ...errors import StorageError, StorageFailure, StorageUnavailable


def translated(error: apsw.Error, path: Path, system_error: int = 0) -> StorageError:
    """Return the error to raise; `system_error` is the `errno` behind it, or 0."""
    match error:
        case apsw.BusyError() | apsw.LockedError() | apsw.ProtocolError():
            return StorageUnavailable(
                "The database is busy: another process writes to it", StorageFailure.BUSY
            )
        case apsw.NotADBError():
            return StorageError(f"SQLite cannot use {path}: {error}")
        case apsw.CorruptError():
            return StorageError(f"SQLite cannot use {path}: {error}. Restore a backup")
        case apsw.SQLError() if "no such table" in str(error):
            return StorageError(f"SQLite cannot use {path}: {error}", StorageFailure.REMOVED)
    if (
        isinstance(error, apsw.FullError)
        or system_error in (errno.ENOSPC, errno.EDQUOT)
        # The index of the write-ahead log could not grow.
        or getattr(error, "extendedresult", None) == apsw.SQLITE_IOERR_SHMSIZE
    ):
        return no_space()
    if isinstance(error, apsw.ReadOnlyError) or system_error in (errno.EROFS, errno.EPERM):
        return StorageUnavailable(
            f"SQLite cannot write {path}: it, or its file system, is read-only",
            StorageFailure.READ_ONLY,
        )
    if isinstance(error, apsw.IOError | apsw.CantOpenError | apsw.NoMemError):
        reason = f" ({errno.errorcode[system_error]})" if system_error in errno.errorcode else ""
        return StorageUnavailable(
            f"SQLite cannot use {path}: {error}{reason}", StorageFailure.OTHER
        )
    return StorageError(f"SQLite cannot use {path}: {error}")


def no_space() -> StorageUnavailable:
    """Return the error of a full disk."""
    return StorageUnavailable("There is no space left for the database", StorageFailure.FULL)
