"""The migrations in D1, where the layout is that of the SQLite file, and the record of them."""

from collections.abc import Sequence
from typing import Final

from ...contract import Migration
from ...sql.dialects.sqlite import MIGRATIONS
from ...sql.migrations import Migrations
from .database import Database, MissingTable

_MIGRATIONS: Final = Migrations(MIGRATIONS, "entry")
_RECORD: Final = "CREATE TABLE IF NOT EXISTS entry_migration (name TEXT PRIMARY KEY) STRICT"
_RECORDING: Final = {
    "up": "INSERT INTO entry_migration (name) VALUES (?) ON CONFLICT DO NOTHING RETURNING 1",
    "down": "DELETE FROM entry_migration WHERE name = ? RETURNING 1",
}


async def migrate(database: Database, to: int | None) -> Sequence[Migration]:
    """Run what has not run yet, or undo what is more than `to`; harmless where others do it too."""
    done: list[Migration] = []
    for migration, texts in _MIGRATIONS.due(await _ran(database), to):
        recording = (_RECORDING[migration.direction], (migration.migration,))
        *_, recorded = await database.run([*((text, ()) for text in (_RECORD, *texts)), recording])
        if recorded:  # else another process has done the same meanwhile
            done.append(migration)
    return done


async def _ran(database: Database) -> int:
    try:
        (rows,) = await database.run([("SELECT name FROM entry_migration", ())])
    except MissingTable:
        rows = ()
    return _MIGRATIONS.check(len(rows), "The database")
