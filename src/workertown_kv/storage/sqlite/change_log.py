"""Read and trim the log of changes, whose rows the triggers of the table `entry` write."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, cast

import apsw

from ...errors import CursorGone, StorageUnsupported
from ...operations import Change, ChangePage, Event, ReadChanges
from ..change_log import Position, new_log
from ..contract import Retention
from ..listing import KeyRange
from ..sql.dialects.sqlite import SqliteFileStatements
from ..sql.dialects.sqlite_changes import CREATE_TRIGGERS, DROP_TRIGGERS
from ..sql.statements import alive
from ..sql.writing import Writing
from .connection import savepoint

_SQL: Final = SqliteFileStatements()

MOST_EXPIRED: Final = 1000
"""How many expiries may be recorded on the event loop."""

_TRIMMED_ROWS: Final = 4096
"""The most rows that are removed at a time."""
_TRIM_AFTER: Final = 2048
"""After how many changed rows, of entries and of changes, the log is trimmed."""
_TIMES: Final = 60
"""The log has about so many times of its rows."""

_NEXT_EXPIRY: Final = "(SELECT min(expires_at) FROM entry WHERE expires_at > expired_until)"
_STATE: Final = f"SELECT log, expired_until, {_NEXT_EXPIRY} FROM change_log"
_BOUNDS: Final = "SELECT (SELECT min(seq) FROM change), (SELECT max(seq) FROM change)"
_DUE: Final = "FROM entry WHERE expires_at > ? AND expires_at <= ?"

_AFTER: Final = (
    "SELECT seq, event, namespace, key, version, expires_at, CAST(metadata AS BLOB) FROM change "
    "WHERE seq > ? ORDER BY seq LIMIT ?"
)


class Recorder:
    """Does what the triggers cannot do, in the transactions of the writer."""

    def __init__(self, db: apsw.Connection, retention: Retention | None) -> None:
        self._db = db
        self._retention = retention
        self._trimmed_at = 0

    def open(self, now: float) -> None:
        """Turn the log on or off, as the retention says."""
        log = cast("str | None", self._db.execute("SELECT log FROM change_log").get)
        if self._retention is None and log is not None:
            for text in DROP_TRIGGERS:
                self._db.execute(text)
            self._db.execute("UPDATE change_log SET log = NULL")
        elif self._retention is not None and log is None:
            for text in CREATE_TRIGGERS:
                self._db.execute(text)
            self._begin_log(now)

    def record_expired(self, now: float, most: int | None = None) -> bool:
        """Record the expiries until now. Return whether it did, since there may be too many."""
        log, until, next_expiry = self._state()
        if log is None or next_expiry is None or next_expiry > now:
            return True
        if most is None:
            most = self._retention.entries if self._retention else MOST_EXPIRED
            is_too_much = self._has_more(until, now, most)
            if is_too_much:
                # The log could not keep them all, so that every reader has to begin again.
                self._begin_log(now)
                return True
        elif self._has_more(until, now, most):
            return False
        self._db.execute(
            "INSERT INTO change (event, namespace, key, version) "
            f"SELECT 'expire', namespace, key, version {_DUE} ORDER BY expires_at",
            (until, now),
        )
        self._db.execute("UPDATE change_log SET expired_until = ?", (now,))
        return True

    @contextmanager
    def deleting(self, namespace: str, keys: KeyRange, now: float) -> Iterator[None]:
        """Record the deletes of all entries in a range, which the block deletes.

        One statement takes less time than a trigger that runs for each row.
        """
        to = Writing(_SQL.mark)
        self._db.execute(
            *to.statement(
                "INSERT INTO change (event, namespace, key, version) "
                "SELECT 'delete', namespace, key, version FROM entry "
                f"WHERE {_SQL.in_range(to, namespace, keys)} AND {alive(to.add(now))} "
                "AND (expires_at IS NULL OR expires_at > (SELECT expired_until FROM change_log)) "
                "AND (SELECT log FROM change_log) IS NOT NULL ORDER BY key"
            )
        )
        # Only for this connection.
        self._db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        try:
            yield
        finally:
            self._db.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 1)

    def trim_after_writes(self, now: float) -> None:
        """Trim the log if enough has been written since the last time."""
        if self._db.total_changes() - self._trimmed_at >= _TRIM_AFTER:
            self.trim(now)

    def trim(self, now: float) -> None:
        """Remove some of the changes that need not be kept."""
        if self._retention is None:
            return
        first, last = self._db.execute(_BOUNDS).fetchone() or (None, None)
        if first is None or last is None:
            return
        self._note_time(now, last)
        old = self._db.execute(
            "SELECT max(seq) FROM change_time WHERE at <= ?", (now - self._retention.seconds,)
        ).get
        kept_after = max(last - self._retention.entries, cast("int", old or 0))
        # The last row stays, since it has the number after which the next change is numbered.
        bound = min(kept_after, last - 1, first + _TRIMMED_ROWS)
        if bound >= first:
            self._db.execute("DELETE FROM change WHERE seq <= ?", (bound,))
            self._db.execute("DELETE FROM change_time WHERE seq < ?", (bound,))
        self._trimmed_at = self._db.total_changes()

    def _state(self) -> tuple[str | None, float, float | None]:
        row = self._db.execute(_STATE).fetchone()
        return cast("tuple[str | None, float, float | None]", row)

    def _has_more(self, until: float, now: float, most: int) -> bool:
        found = self._db.execute(
            f"SELECT 1 {_DUE} LIMIT 1 OFFSET ?",
            (until, now, most),
        ).get
        return found is not None

    def _begin_log(self, now: float) -> None:
        self._db.execute("UPDATE change_log SET log = ?, expired_until = ?", (new_log(), now))

    def _note_time(self, now: float, last: int) -> None:
        assert self._retention is not None
        noted = self._db.execute("SELECT seq, at FROM change_time ORDER BY seq DESC LIMIT 1").get
        seq, at = cast("tuple[int, float] | None", noted) or (0, 0.0)
        if last > seq and abs(now - at) >= self._retention.seconds / _TIMES:
            self._db.execute("INSERT INTO change_time (seq, at) VALUES (?, ?)", (last, now))


def read_changes(db: apsw.Connection, operation: ReadChanges) -> tuple[ChangePage, float | None]:
    """Return a page of changes, and when the next entry expires whose expiry is not recorded."""
    with savepoint(db):  # all reads see the same moment
        log, _, next_expiry = cast(
            "tuple[str | None, float, float | None]", db.execute(_STATE).fetchone()
        )
        first, last = cast("tuple[int | None, int | None]", db.execute(_BOUNDS).fetchone())
        position = _begin(operation, log, first, last or 0)
        limit = 0 if operation.since is None else operation.limit
        rows = cast(
            "Sequence[tuple[int, str, str, str, str | None, float | None, bytes | None]]",
            db.execute(_AFTER, (position.number, limit)).fetchall(),
        )
    changes = [
        Change(
            event=Event(event),
            namespace=namespace,
            key=key,
            version=version,
            expires_at=expires_at,
            metadata=metadata,
        )
        for _, event, namespace, key, version, expires_at, metadata in rows
    ]
    cursors = [f"{position.log}.{row[0]}" for row in rows]
    cursor = cursors[-1] if cursors else position.cursor
    is_complete = (rows[-1][0] if rows else position.number) == (last or 0)
    return ChangePage(changes, cursor, is_complete, cursors), next_expiry


def _begin(operation: ReadChanges, log: str | None, first: int | None, last: int) -> Position:
    """Return the position after which a page begins. Raises `CursorGone`."""
    if operation.since is None:
        if log is None:
            raise StorageUnsupported(
                "A server with changes = False uses this file, so that no changes are recorded"
            )
        return Position(log, last)
    position = Position.of(operation.since)
    kept_after = 0 if first is None else first - 1
    if position.log != log or not kept_after <= position.number <= last:
        raise CursorGone
    return position
