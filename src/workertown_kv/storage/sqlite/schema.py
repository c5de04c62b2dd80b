"""Migrate the file, and recognize it as ours, both by numbers in its header."""

from collections.abc import Sequence
from typing import Final

import apsw

from ...errors import StorageError
from ..contract import Migration
from ..sql.dialects.sqlite import MIGRATIONS as OF_ENTRIES
from ..sql.dialects.sqlite_changes import CHANGES
from ..sql.migrations import Migrations

APPLICATION_ID: Final = 0x776B7601
"""Marks the file as ours (`PRAGMA application_id`)."""

MIGRATIONS: Final = {**OF_ENTRIES, "0002_changes": CHANGES}
"""Every change of the schema of a file, in order."""

_MIGRATIONS: Final = Migrations(MIGRATIONS, "entry")


def check_owner(db: apsw.Connection) -> int:
    """Return how many migrations have run on this file (`PRAGMA user_version`).

    Raises `StorageError` for a file of another application or of a newer schema.
    """
    version: int = db.pragma("user_version")
    application: int = db.pragma("application_id")
    is_new = not (version or application or db.execute("SELECT 1 FROM sqlite_schema").get)
    if application != APPLICATION_ID and not is_new:
        raise StorageError(f"{db.filename} is the database of another application")
    return _MIGRATIONS.check(version, db.filename)


def migrate(db: apsw.Connection, to: int | None = None) -> Sequence[Migration]:
    """Run the due migrations, or undo those after `to`, in the caller's transaction."""
    due = _MIGRATIONS.due(check_owner(db), to)
    for _, texts in due:
        for text in texts:
            db.execute(text)
    if due:
        db.pragma("application_id", APPLICATION_ID)
        db.pragma("user_version", len(_MIGRATIONS) if to is None else to)
    return [migration for migration, _ in due]
