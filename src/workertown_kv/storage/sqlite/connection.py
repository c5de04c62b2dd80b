"""Connections to the file, and how long each waits for the locks of others."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from ...errors import StorageError


class Patience:
    """How long a connection waits while another process locks the file: until a given moment.

    Short pauses of random length share the file more fairly among processes than SQLite's own
    timeout, whose pauses grow to 100 ms.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.until: float | None = None
        """A moment of `time.monotonic()`; `None` gives each wait `seconds` of its own."""
        self._began = 0.0

    def wait(self, tries: int) -> bool:
        """Pause, and tell SQLite whether to try again."""
        if tries == 0:
            self._began = time.monotonic()
        until = self._began + self.seconds if self.until is None else self.until
        if time.monotonic() >= until:
            return False
        time.sleep(random.uniform(0.0002, 0.002))  # noqa: S311  (not cryptography)
        return True


def connect(path: Path, patience: Patience | None) -> apsw.Connection:
    """Open a connection; one without patience never waits."""
    if not path.parent.is_dir():
        raise StorageError(f"There is no folder {path.parent} for the database")
    db = apsw.Connection(os.fspath(path))
    if patience is not None:
        db.set_busy_handler(patience.wait)
    return db


@contextmanager
def savepoint(db: apsw.Connection) -> Iterator[None]:
    """Do all or nothing of what is inside, and read all of it at one moment."""
    db.execute("SAVEPOINT batch")
    try:
        yield
    except BaseException:
        # Some failures of the engine have ended the transaction already, and this with it.
        if db.in_transaction:
            db.execute("ROLLBACK TO batch")
            db.execute("RELEASE batch")
        raise
    db.execute("RELEASE batch")
