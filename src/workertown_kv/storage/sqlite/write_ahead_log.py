"""Write the write-ahead log into the file, and keep it from growing."""

import logging
import time
from contextlib import suppress
from typing import Final

import apsw

from .connection import Patience
from .files import Files

LOG_BYTES: Final = 64 * 1024 * 1024
"""SQLite cuts a larger log to this size when it starts again at the beginning."""

LOG_WARNING_BYTES: Final = 4 * LOG_BYTES
"""If the log is larger, a reader keeps it from starting again at the beginning."""

CHECKPOINT_PAGES: Final = 1000
"""The log is written into the file once it has this many pages, as by SQLite's default."""

_WARNING_SECONDS: Final = 60
_SHORT_SECONDS: Final = 0.5

_LOG: Final = logging.getLogger("workertown_kv")


class WriteAheadLog:
    """The log of the connection that writes, which waits for locks with `patience`."""

    def __init__(self, db: apsw.Connection, files: Files, patience: Patience) -> None:
        self._db = db
        self._files = files
        self._patience = patience
        self._warned_at = 0.0
        self._is_completed = False
        self.pages = 0
        """How many pages the log had after the last commit."""
        db.pragma("journal_size_limit", LOG_BYTES)
        # This replaces SQLite's own hook, which does not report when it has written the file.
        db.set_wal_hook(self._note)

    def write_into_file(self) -> None:
        """Write what no reader needs any more into the file; warn if the log keeps growing."""
        self.checkpoint()
        self._files.note_written()
        now = time.monotonic()
        if (
            self._files.log_bytes > LOG_WARNING_BYTES
            and now - self._warned_at > _WARNING_SECONDS
            and not self.restart()
        ):
            self._warned_at = now
            _LOG.warning(
                "%s has grown to %s MB, because a program keeps reading an old state of the "
                "database. Find it with `lsof %s`, and end it",
                self._files.log_path,
                f"{self._files.log_bytes // 1_000_000:,}",
                self._files.path,
            )

    def checkpoint(self) -> None:
        """Write the log into the file as far as that is possible now."""
        # If another process does the same, or the disk is full, the next commit tries again.
        with suppress(apsw.Error):
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def restart(self) -> bool:
        """Write the log into the file, so that the log starts again. Return whether that worked."""
        self._patience.until = time.monotonic() + _SHORT_SECONDS
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        except apsw.Error:
            return False
        finally:
            self._files.note_written()
        return True

    def complete_file(self) -> None:
        """Save the acknowledged writes that are only in the log, if the log was removed."""
        if self._is_completed or not self._files.may_be_completed():
            return
        self._is_completed = True
        self._patience.until = time.monotonic() + self._patience.seconds
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
        except apsw.Error as error:
            _LOG.error("The last writes could not be saved into %s: %s", self._files.path, error)
        else:
            _LOG.error("All acknowledged writes have been saved into %s", self._files.path)
        self._files.note_written()

    def _note(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self.pages = pages
        return apsw.SQLITE_OK
