"""Open connections to the file, each with a limit on how long it waits for locks."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from ...errors import StorageError, StorageFailure, StorageUnavailable


class Patience:
    """How long a connection waits while another process locks the file.

    Short pauses of random length share the file more fairly among processes than SQLite's own
    timeout, whose pauses grow to 100 ms.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.until: float | None = None
        """A moment of `time.monotonic()`; `None` if each wait may take `seconds`."""
        self._began = 0.0

    def wait(self, tries: int) -> bool:
        """Pause, and return whether SQLite should try again."""
        if tries == 0:
            self._began = time.monotonic()
        until = self._began + self.seconds if self.until is None else self.until
        if time.monotonic() >= until:
            return False
        time.sleep(random.uniform(0.0002, 0.002))  # noqa: S311  (not cryptography)
        return True


def connect(path: Path, patience: Patience | None) -> apsw.Connection:
    """Open a connection; without patience, it never waits."""
    _check_path(path)
    db = apsw.Connection(os.fspath(path))
    if patience is not None:
        db.set_busy_handler(patience.wait)
    return db


def _check_path(path: Path) -> None:
    """Raise `StorageError` if there can be no database at the path; SQLite's error says less."""
    folder = path.parent.absolute()
    try:
        path.stat()
    except PermissionError as error:
        raise StorageError(
            f"SQLite cannot use {path}: {_user()} may not enter its folder; expected a folder that "
            "this user may enter"
        ) from error
    except OSError:
        pass  # the checks below say more
    if not folder.is_dir():
        raise StorageError(
            f"There is no folder {folder} for the database; make it, or name another path"
        )
    if path.is_dir():
        raise StorageError(
            f"SQLite cannot use {path}: it is a folder; expected the path of a file, such as "
            f"{path / 'kv.sqlite'}"
        )
    # SQLite makes further files beside the database, unless they exist already.
    for needed in (path,) if Path(f"{path}-wal").exists() else (path, folder):
        if needed.exists() and not os.access(needed, os.W_OK):
            raise StorageUnavailable(
                f"SQLite cannot use {path}: {needed} is read-only for {_user()}; expected a file "
                "and a folder that this user may write, on a file system that can be written",
                StorageFailure.READ_ONLY,
            )


def _user() -> str:
    return f"the user with the id {os.geteuid()}" if hasattr(os, "geteuid") else "this user"


@contextmanager
def savepoint(db: apsw.Connection) -> Iterator[None]:
    """Make all statements of the block atomic, and all its reads see the same moment."""
    db.execute("SAVEPOINT batch")
    try:
        yield
    except BaseException:
        # Some failures of the engine end the transaction, and with it the savepoint.
        if db.in_transaction:
            db.execute("ROLLBACK TO batch")
            db.execute("RELEASE batch")
        raise
    db.execute("RELEASE batch")
