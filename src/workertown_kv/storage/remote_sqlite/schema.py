"""Run the migrations of the table, which has the layout of the SQLite file, and record them."""

from collections.abc import Sequence
from typing import Final

from ...errors import StorageError, StorageFailure
from ..contract import Migration
from ..sql.dialects.sqlite import MIGRATIONS
from ..sql.migrations import Migrations
from .database import Database, MissingTable

_MIGRATIONS: Final = Migrations(MIGRATIONS, "entry")
_RECORD: Final = "CREATE TABLE IF NOT EXISTS entry_migration (name TEXT PRIMARY KEY) STRICT"
_RECORDING: Final = {
    "up": "INSERT INTO entry_migration (name) VALUES (?) ON CONFLICT DO NOTHING RETURNING 1",
    "down": "DELETE FROM entry_migration WHERE name = ? RETURNING 1",
}


async def migrate(
    database: Database, to: int | None, *, may_create: bool = True
) -> Sequence[Migration]:
    """Run the due migrations, or undo those after `to`. Others may do the same at once.

    Raises `StorageError` if there is no table, unless the migrations may create it.
    """
    ran = await _ran(database)
    if not (ran or may_create):
        raise StorageError(
            "There is no table for the entries; run `workertown-kv migrate`", StorageFailure.REMOVED
        )
    done: list[Migration] = []
    for migration, texts in _MIGRATIONS.due(ran, to):
        recording = (_RECORDING[migration.direction], (migration.migration,))
        statements = [*((text, ()) for text in (_RECORD, *texts)), recording]
        *_, recorded = await database.run(statements, writes=True)
        if recorded:  # otherwise another process has run the migration
            done.append(migration)
    return done


async def _ran(database: Database) -> int:
    try:
        (rows,) = await database.run([("SELECT name FROM entry_migration", ())], writes=False)
    except MissingTable:
        rows = ()
    return _MIGRATIONS.check(len(rows), "The database")
