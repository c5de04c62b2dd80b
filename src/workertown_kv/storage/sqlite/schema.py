"""The layout of the file, as numbered migrations. `docs/storages/sqlite.md` explains it."""

from typing import Final, NamedTuple

import apsw

from ...errors import StorageError
from ..contract import Migration

APPLICATION_ID: Final = 0x776B7601
"""Marks the file as ours (`PRAGMA application_id`)."""


class Step(NamedTuple):
    """What a migration does, and what undoes it."""

    up: str
    down: str


MIGRATIONS: Final = {
    "0001_entry": Step(
        up="""
        CREATE TABLE entry (
            namespace  TEXT NOT NULL,
            key        TEXT NOT NULL,
            version    TEXT NOT NULL,
            expires_at REAL,           -- Unix seconds; NULL: never
            metadata   TEXT,           -- a JSON object
            value      ANY  NOT NULL,  -- TEXT where it is JSON, BLOB where it is not
            PRIMARY KEY (namespace, key)
        ) STRICT;
        CREATE INDEX entry_expires_at ON entry (expires_at) WHERE expires_at IS NOT NULL;
        """,
        down="DROP TABLE entry",
    ),
}
"""Every change of the schema, in order. `PRAGMA user_version` counts those that have run."""


def check_owner(db: apsw.Connection) -> int:
    """How many migrations have run on this file; changes nothing.

    Raises `StorageError` for a file of another application or of a newer schema.
    """
    version: int = db.pragma("user_version")
    application: int = db.pragma("application_id")
    is_new = not (version or application or db.execute("SELECT 1 FROM sqlite_schema").get)
    if application != APPLICATION_ID and not is_new:
        raise StorageError(f"{db.filename} is the database of another application")
    if version > len(MIGRATIONS):
        raise StorageError(
            f"{db.filename} has schema {version}, made by a newer workertown-kv; "
            f"this one knows schemas up to {len(MIGRATIONS)}"
        )
    return version


def migrate(db: apsw.Connection, to: int | None = None) -> list[Migration]:
    """Run what has not run yet, or undo what is more than `to`, inside the caller's transaction."""
    names = list(MIGRATIONS)
    ran = check_owner(db)
    aim = len(names) if to is None else to
    if not 0 <= aim <= len(names):
        raise StorageError(f"There are {len(names)} migrations; {aim} of them cannot have run")
    done = [Migration(name) for name in names[ran:aim]]
    for one in done:
        db.execute(MIGRATIONS[one.migration].up)
    for name in reversed(names[aim:ran]):
        db.execute(MIGRATIONS[name].down)
        done.append(Migration(name, "down"))
    if done:
        db.pragma("application_id", APPLICATION_ID)
        db.pragma("user_version", aim)
    return done
