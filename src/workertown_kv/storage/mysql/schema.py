"""The layout in MySQL, as numbered migrations. `docs/storages/mysql.md` explains it.

A change of a schema is never part of a transaction here, so every statement must do no harm where
it has run before and the record of it was lost.
"""

from typing import Final

from ..sql import Step

RECORD: Final = """
    CREATE TABLE IF NOT EXISTS "{table}_migration" (
        name        VARCHAR(64) CHARACTER SET ascii NOT NULL PRIMARY KEY,
        executed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
    ) ENGINE = InnoDB
"""
"""The table that has the names of the migrations that have run."""

MIGRATIONS: Final = {
    "0001_entry": Step(
        up=[
            # VARBINARY, since a VARCHAR takes no notice of spaces at its end.
            """
            CREATE TABLE IF NOT EXISTS "{table}" (
                namespace  VARBINARY(255) NOT NULL,
                "key"      VARBINARY(2048) NOT NULL,  -- in UTF-8
                version    VARBINARY(64) NOT NULL,
                expires_at DOUBLE,                    -- Unix seconds; NULL: never
                metadata   TEXT,                      -- a JSON object
                value      LONGTEXT,                  -- where it is JSON
                bytes      LONGBLOB,                  -- where it is not
                PRIMARY KEY (namespace, "key"),
                KEY "{table}_expires_at" (expires_at),
                CHECK ((value IS NULL) <> (bytes IS NULL))
            ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
            CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
            """,
            # Where the table was there, it may be somebody else's.
            """
            SELECT namespace, "key", version, expires_at, metadata, value, bytes
            FROM "{table}" LIMIT 0
            """,
        ],
        down=['DROP TABLE IF EXISTS "{table}"'],
    ),
}
"""Every change of the schema, in order."""
