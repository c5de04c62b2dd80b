"""Record changes in SQLite by triggers, so that no write is missed, whichever program makes it.

The layout is in `docs/storages/sqlite.md`.
"""

from collections.abc import Sequence
from typing import Final

from ..migrations import Script

_CHANGE: Final = """
        CREATE TABLE IF NOT EXISTS change (
            seq        INTEGER PRIMARY KEY,  -- the order in which the changes happened
            event      TEXT NOT NULL,        -- set, touch, delete, expire
            namespace  TEXT NOT NULL,
            key        TEXT NOT NULL,
            version    TEXT,
            expires_at REAL,
            metadata   TEXT
        ) STRICT"""
_LOG: Final = """
        CREATE TABLE IF NOT EXISTS change_log (
            log           TEXT,          -- the identity of the log; NULL: nothing is recorded
            expired_until REAL NOT NULL  -- the expiries until this time are recorded
        ) STRICT"""
_TIME: Final = """
        CREATE TABLE IF NOT EXISTS change_time (
            seq INTEGER PRIMARY KEY,
            at  REAL NOT NULL  -- the changes up to seq were recorded until this time
        ) STRICT"""

_INTO: Final = "INSERT INTO change (event, namespace, key, version"
_NEW: Final = "NEW.namespace, NEW.key, NEW.version"
_OLD: Final = "OLD.namespace, OLD.key, OLD.version"
# An entry that is written with a lifetime whose end was already recorded.
_ENDED: Final = (
    f"{_INTO}) SELECT 'expire', {_NEW} FROM change_log WHERE NEW.expires_at <= expired_until"
)
# A program that records no expiries itself writes over an expired entry, or removes it.
_EXPIRED: Final = "OLD.expires_at <= unixepoch('subsec')"

TRIGGERS: Final = {
    "change_insert": f"""AFTER INSERT ON entry BEGIN
            {_INTO}, expires_at, metadata) VALUES ('set', {_NEW}, NEW.expires_at, NEW.metadata);
            {_ENDED};
        END""",
    "change_update": f"""AFTER UPDATE ON entry BEGIN
            {_INTO}) SELECT 'expire', {_OLD} FROM change_log
                WHERE OLD.expires_at > expired_until AND {_EXPIRED};
            {_INTO}, expires_at, metadata)
                VALUES (iif(NEW.version = OLD.version, 'touch', 'set'),
                    {_NEW}, NEW.expires_at, NEW.metadata);
            {_ENDED};
        END""",
    "change_delete": f"""AFTER DELETE ON entry
        WHEN OLD.expires_at IS NULL OR OLD.expires_at > (SELECT expired_until FROM change_log) BEGIN
            {_INTO}) VALUES (iif({_EXPIRED}, 'expire', 'delete'), {_OLD});
        END""",
}
"""The triggers on the table `entry`, by their names."""

CREATE_TRIGGERS: Final[Sequence[str]] = [
    f"CREATE TRIGGER IF NOT EXISTS {name} {text}" for name, text in TRIGGERS.items()
]
DROP_TRIGGERS: Final[Sequence[str]] = [f"DROP TRIGGER IF EXISTS {name}" for name in TRIGGERS]

_BEGIN: Final = (
    "INSERT INTO change_log SELECT lower(hex(randomblob(8))), unixepoch() "
    "WHERE NOT EXISTS (SELECT 1 FROM change_log)"
)

CHANGES: Final = Script(
    up=[_CHANGE, _LOG, _TIME, _BEGIN, *CREATE_TRIGGERS],
    down=[
        *DROP_TRIGGERS,
        *[f"DROP TABLE IF EXISTS {table}" for table in ("change_time", "change_log", "change")],
    ],
)
"""The migration that begins to record changes."""
