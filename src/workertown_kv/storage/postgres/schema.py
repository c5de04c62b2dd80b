"""The layout in PostgreSQL, as numbered migrations. `docs/storages/postgres.md` explains it."""

from typing import Final

from ..sql import Step

RECORD: Final = """
    CREATE TABLE IF NOT EXISTS "{table}_migration" (
        name        text PRIMARY KEY,
        executed_at timestamptz NOT NULL DEFAULT now()
    )
"""
"""The table that has the names of the migrations that have run."""

MIGRATIONS: Final = {
    "0001_entry": Step(
        up=[
            """
            CREATE TABLE "{table}" (
                namespace  text COLLATE "C" NOT NULL,
                key        bytea NOT NULL,     -- in UTF-8; a text could have no NUL
                version    text NOT NULL,
                expires_at double precision,   -- Unix seconds; NULL: never
                metadata   text,               -- a JSON object
                value      text,               -- where it is JSON
                bytes      bytea,              -- where it is not
                PRIMARY KEY (namespace, key),
                CHECK ((value IS NULL) <> (bytes IS NULL))
            )
            """,
            """
            CREATE INDEX "{table}_expires_at" ON "{table}" (expires_at)
            WHERE expires_at IS NOT NULL
            """,
        ],
        down=['DROP TABLE "{table}"'],
    ),
}
"""Every change of the schema, in order."""
