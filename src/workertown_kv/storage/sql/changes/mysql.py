"""Define the tables and the triggers that record changes in MySQL and MariaDB."""

from typing import Final

from ..migrations import Script
from .layout import EXPIRY_MARGIN_SECONDS, Recorder

MOVED: Final = "@workertown_kv_moved"
"""A variable: the seconds by which a storage moves the clock of the database, as tests do."""

# Without the cast, the time is a decimal.
NOW: Final = f"CAST(@@timestamp + COALESCE({MOVED}, 0) AS DOUBLE)"

_DROP: Final = [
    f'DROP TRIGGER IF EXISTS "{{table}}_{one}"' for one in ("insert", "update", "delete")
]
_END: Final = ["UPDATE \"{table}_log\" SET id = ''", *_DROP]

CHANGES: Final = Script(
    up=[
        """
        CREATE TABLE IF NOT EXISTS "{table}_change" (
            number      BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
            event       VARCHAR(16) CHARACTER SET ascii NOT NULL,
            namespace   VARBINARY(255) NOT NULL,
            "key"       VARBINARY(2048) NOT NULL,
            version     VARBINARY(64),
            expires_at  DOUBLE,
            metadata    TEXT,
            recorded_at DOUBLE NOT NULL,
            expiry      BINARY(20) UNIQUE          -- of expire: a hash, so that it comes once
        ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
        CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
        """,
        """
        CREATE TABLE IF NOT EXISTS "{table}_log" (
            one           TINYINT NOT NULL PRIMARY KEY,  -- there is one row
            id            VARCHAR(40) CHARACTER SET ascii NOT NULL,  -- empty: nothing is recorded
            kept_from     BIGINT NOT NULL,  -- the first number that is kept
            expired_until DOUBLE NOT NULL
        ) ENGINE = InnoDB
        """,
        "INSERT IGNORE INTO \"{table}_log\" VALUES (1, '', 0, 0)",
    ],
    down=[
        *_DROP,
        'DROP TABLE IF EXISTS "{table}_log", "{table}_change"',
    ],
)
"""The migration that makes the log of changes."""

_COLUMNS: Final = '(event, namespace, "key", version, expires_at, metadata, recorded_at'


def expiry_of(row: str) -> str:
    """Return the hash of a lifetime: of the key, the version, and the time of its end."""
    columns = ", ".join(f"{row}.{one}" for one in ("namespace", '"key"', "version", "expires_at"))
    return f"UNHEX(SHA1(CONCAT_WS('/', {columns})))"


def _record(event: str) -> str:
    row = "NEW"
    return (
        f'INSERT INTO "{{table}}_change" {_COLUMNS}) VALUES ({event}, {row}.namespace, '
        f'{row}."key", {row}.version, {row}.expires_at, {row}.metadata, {NOW})'
    )


def _expire(row: str) -> str:
    return (
        f"INSERT IGNORE INTO \"{{table}}_change\" {_COLUMNS}, expiry) VALUES ('expire', "
        f'{row}.namespace, {row}."key", {row}.version, {row}.expires_at, NULL, {NOW}, '
        f"{expiry_of(row)})"
    )


# A row with the lifetime 0 reserves a key.
_OLD_EXPIRED: Final = f"""
    IF OLD.expires_at <> 0 AND OLD.expires_at > (
        SELECT expired_until - {EXPIRY_MARGIN_SECONDS} FROM "{{table}}_log"
    ) THEN
        {_expire("OLD")};
    END IF;
"""
_NEW_EXPIRED: Final = f"""
    IF NEW.expires_at IS NOT NULL THEN
        IF NEW.expires_at <= {NOW} THEN {_expire("NEW")}; END IF;
    END IF;
"""

_TRIGGERS: Final = {
    "insert": f"""
        IF NOT (NEW.expires_at <=> 0) THEN
            {_record("'set'")};
            {_NEW_EXPIRED}
        END IF;
    """,
    # An INSERT that finds its row updates the row even where nothing changes.
    "update": f"""
        IF NOT (NEW.version = OLD.version AND NEW.expires_at <=> OLD.expires_at) THEN
            IF OLD.expires_at IS NOT NULL THEN
                IF OLD.expires_at <= {NOW} THEN {_OLD_EXPIRED} END IF;
            END IF;
            IF NOT (NEW.expires_at <=> 0) THEN
                {_record("IF(NEW.version = OLD.version, 'touch', 'set')")};
                {_NEW_EXPIRED}
            END IF;
        END IF;
    """,
    "delete": f"""
        IF OLD.expires_at <= {NOW} THEN
            {_OLD_EXPIRED}
        ELSE
            INSERT INTO "{{table}}_change" (event, namespace, "key", version, recorded_at)
            VALUES ('delete', OLD.namespace, OLD."key", OLD.version, {NOW});
        END IF;
    """,
}

RECORDER: Final = Recorder(
    create=[
        # The statements are not one transaction: there is no log until all triggers exist.
        *_END,
        *(
            f'CREATE TRIGGER "{{table}}_{name}" AFTER {name.upper()} ON "{{table}}" '
            f"FOR EACH ROW BEGIN {body} END"
            for name, body in _TRIGGERS.items()
        ),
        'UPDATE "{table}_log" SET id = UUID()',
    ],
    drop=_END,
)
