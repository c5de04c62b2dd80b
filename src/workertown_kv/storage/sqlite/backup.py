"""Copy a live file as it is at one moment."""

import os
from pathlib import Path

import apsw

from ...errors import OptionsError, StorageError
from .connection import Patience
from .failures import translated
from .schema import check_owner

_BUSY_SECONDS = 10.0


def copy_file(source: Path, to: Path) -> None:
    """Copy all entries of a file, as of now, into a new file, and wait until it is on the disk.

    Other processes may write meanwhile; this does not wait for their writes to end. Raises
    `OptionsError` and `StorageError`.
    """
    try:
        is_file = source.is_file()
    except PermissionError as error:
        raise StorageError(f"Cannot read {source}: {error.strerror}") from error
    if not is_file:
        raise OptionsError(f"There is no file {source}; expected the SQLite file of a store")
    try:
        db = apsw.Connection(os.fspath(source), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            db.set_busy_handler(Patience(_BUSY_SECONDS).wait)
            check_owner(db)
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
    except apsw.Error as error:
        # SQLite leaves the journal of the new file if the disk is full.
        Path(f"{to}-journal").unlink(missing_ok=True)
        failure = translated(error, to)
        raise StorageError(f"Cannot write {to}: {failure.message}", failure.kind) from error
