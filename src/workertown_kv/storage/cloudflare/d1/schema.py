"""The layout in D1, as numbered migrations. It is that of the SQLite file."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ....errors import StorageError
from ...contract import Migration
from .database import Database, MissingTable
from .rows import Statement


class Step(NamedTuple):
    """The statements of a migration, and those that undo it. Each may run twice."""

    up: Sequence[str]
    down: Sequence[str]


MIGRATIONS: Final[Mapping[str, Step]] = {
    "0001_entry": Step(
        up=[
            """CREATE TABLE IF NOT EXISTS entry (
    namespace  TEXT NOT NULL,
    key        TEXT NOT NULL,
    version    TEXT NOT NULL,
    expires_at REAL,           -- Unix seconds; NULL: never
    metadata   TEXT,           -- a JSON object
    value      ANY  NOT NULL,  -- TEXT where it is JSON, BLOB where it is not
    PRIMARY KEY (namespace, key)
) STRICT""",
            """CREATE INDEX IF NOT EXISTS entry_expires_at
ON entry (expires_at) WHERE expires_at IS NOT NULL""",
        ],
        down=["DROP TABLE IF EXISTS entry"],
    ),
}
"""Every change of the schema, in order. The table `entry_migration` has those that have run."""

_RECORD: Final = "CREATE TABLE IF NOT EXISTS entry_migration (name TEXT PRIMARY KEY) STRICT"
_DONE: Final = "INSERT INTO entry_migration (name) VALUES (?1) ON CONFLICT DO NOTHING RETURNING 1"
_UNDONE: Final = "DELETE FROM entry_migration WHERE name = ?1 RETURNING 1"


async def migrate(database: Database, to: int | None) -> Sequence[Migration]:
    """Run what has not run yet, or undo what is more than `to`; harmless where others do it too."""
    names = list(MIGRATIONS)
    ran = await _ran(database)
    aim = len(names) if to is None else to
    if not 0 <= aim <= len(names):
        raise StorageError(f"There are {len(names)} migrations; {aim} of them cannot have run")
    done: list[Migration] = []
    for name in names[ran:aim]:
        texts = [_RECORD, *MIGRATIONS[name].up]
        done += await _changed(database, texts, (_DONE, (name,)), Migration(name))
    for name in reversed(names[aim:ran]):
        texts = [*MIGRATIONS[name].down]
        done += await _changed(database, texts, (_UNDONE, (name,)), Migration(name, "down"))
    return done


async def _changed(
    database: Database, texts: Sequence[str], record: Statement, migration: Migration
) -> Sequence[Migration]:
    """Run these; the migration, unless another has recorded it meanwhile."""
    *_, recorded = await database.run([*((text, ()) for text in texts), record])
    return [migration] if recorded else []


async def _ran(database: Database) -> int:
    """How many have run. Raises `StorageError` where the schema is of a newer program."""
    try:
        (rows,) = await database.run([("SELECT name FROM entry_migration", ())])
    except MissingTable:
        return 0
    if len(rows) > len(MIGRATIONS):
        raise StorageError(
            f"The database has schema {len(rows)}, made by a newer workertown-kv; "
            f"this one knows schemas up to {len(MIGRATIONS)}"
        )
    return len(rows)
