"""Copy a live file as it is at one moment."""

import os
import threading
from pathlib import Path

import apsw

from ...errors import OptionsError, StorageError
from ..change_log import new_log
from .connection import Patience
from .failures import translated
from .schema import check_owner

_BUSY_SECONDS = 10.0
_STEPS_BETWEEN_LOOKS = 10_000


def copy_file(source: Path, to: Path, stop: threading.Event | None = None) -> None:
    """Copy all entries of a file, as of now, into a new file, and wait until it is on the disk.

    The new file begins another log of changes, since both files may get further changes under the
    same numbers. A position in the log of the source is not accepted there.

    Other processes may write meanwhile; this does not wait for their writes to end. Another thread
    may `stop` it, which raises `StorageError`. Raises `OptionsError` and `StorageError`.
    """
    try:
        is_file = source.is_file()
    except PermissionError as error:
        raise StorageError(f"Cannot read {source}: {error.strerror}") from error
    if not is_file:
        raise OptionsError(f"There is no file {source}; expected the SQLite file of a store")
    try:
        # A connection that may only read would leave its log and index beside a file that nobody
        # else uses. SQLite only reads from a file that this user may not write.
        db = apsw.Connection(os.fspath(source), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            db.set_busy_handler(Patience(_BUSY_SECONDS).wait)
            check_owner(db)
            if stop is not None:
                db.set_progress_handler(stop.is_set, _STEPS_BETWEEN_LOOKS)
            _write(db, to)
        finally:
            db.close()
    except apsw.Error as error:
        raise translated(error, source) from error
    file = os.open(to, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _write(db: apsw.Connection, to: Path) -> None:
    try:
        db.execute("VACUUM INTO ?", (os.fspath(to),))
        _begin_log(to)
    except apsw.Error as error:
        # SQLite leaves the journal of the new file if the disk is full.
        Path(f"{to}-journal").unlink(missing_ok=True)
        failure = translated(error, to)
        raise StorageError(f"Cannot write {to}: {failure.message}", failure.kind) from error


def _begin_log(file: Path) -> None:
    """Give the log of changes in a new file its own identity, if the file has a log."""
    db = apsw.Connection(os.fspath(file), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        if db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'change_log'").get:
            db.execute("UPDATE change_log SET log = ? WHERE log IS NOT NULL", (new_log(),))
    finally:
        db.close()
