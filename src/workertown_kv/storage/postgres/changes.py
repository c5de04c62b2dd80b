"""Read changes from PostgreSQL by snapshots, since commits finish out of order.

A snapshot says which transactions had committed at a moment. A page has the changes that are
committed now, but were not at the snapshot of the cursor. So it does not matter in which order
commits finish: nothing is skipped, and no writer waits. The changes of a page are in the order of
their numbers. A change has its number while its row is locked, so those of a key are in order.
"""

from typing import Annotated, Any, Final, Self

import msgspec

from ...errors import CursorGone, InputError
from ...operations import ChangePage
from ..contract import Retention
from ..sql.changes.feed import COLUMNS, ChangeReader, change_of, not_recorded
from ..sql.changes.layout import EXPIRY_MARGIN_SECONDS
from ..sql.changes.postgres import NOW, ORIGIN
from ..sql.session import Session
from ..sql.writing import Statement

_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_ALL: Final = 2**63 - 1


class Snapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The transactions that had committed at a moment."""

    first_running: _Number
    next: _Number
    """This transaction, and all later transactions, had not begun."""
    running: tuple[_Number, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the snapshot that PostgreSQL writes as `10:20:10,14,15`."""
        first, following, running = text.split(":")
        return cls(int(first), int(following), tuple(map(int, filter(None, running.split(",")))))


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A position in the changes."""

    log: str
    """The identity of the log."""
    seen: Snapshot
    """The changes of these transactions were on earlier pages."""
    until: Snapshot | None = None
    """The snapshot of a page that had not all of its changes."""
    number: _Number = 0
    """The last change of that page."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the cursor in a text. Raises `InputError`."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise InputError("This is not a cursor of changes") from error

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


class PostgresChanges(ChangeReader):
    """Reads the changes of a table in PostgreSQL."""

    async def check_engine(self, session: Session) -> None:
        """Accept every server."""

    async def page(self, session: Session, since: str | None, limit: int) -> ChangePage:
        after = None if since is None else Cursor.of(since)
        rows = await session.fetch(self._read(after, limit))
        *_, log, is_ours, kept_from, snapshot = rows[0]
        log = log.decode()
        if not is_ours and log:
            await self._begin_again(session)
            return await self.page(session, since, limit)
        if after is not None and (log != after.log or after.seen.first_running < kept_from):
            raise CursorGone
        if not log:
            raise not_recorded()
        now = Snapshot.of(snapshot.decode())
        found = [row for row in rows if row[0] is not None]
        changes = [change_of(row[1:7]) for row in found[:limit]]
        if after is None:
            return ChangePage((), str(Cursor(log, now)), complete=True)
        until = after.until or now
        is_last = len(found) <= limit
        cursors = [str(Cursor(log, after.seen, until, row[0])) for row in found[:limit]]
        cursor = str(Cursor(log, until)) if is_last else cursors[-1]
        return ChangePage(changes, cursor, is_last and after.until is None, cursors)

    def _read(self, after: Cursor | None, limit: int) -> Statement:
        seen = Snapshot(0, _ALL, ()) if after is None else after.seen
        until = (after and after.until) or Snapshot(0, _ALL, ())
        values: list[Any] = [
            *(seen.next, list(seen.running), until.next, list(until.running)),
            *(0 if after is None else after.number, limit + 1),
        ]
        return (
            (
                f"SELECT found.*, log.id, log.origin = {ORIGIN}, log.kept_from, "
                "pg_current_snapshot()::text "
                f"FROM {self.log} AS log LEFT JOIN ("
                f"SELECT number, {COLUMNS} FROM {self.changes} "
                "WHERE (transaction >= $1 OR transaction = ANY ($2::bigint[])) "
                "AND transaction < $3 AND NOT transaction = ANY ($4::bigint[]) AND number > $5 "
                "ORDER BY number LIMIT $6) AS found ON true ORDER BY found.number"
            ),
            values,
        )

    async def _begin_again(self, session: Session) -> None:
        """Begin another log, since this log has transactions of another server."""
        async with session.transaction():
            mine = await session.execute(
                (
                    (
                        f"UPDATE {self.log} SET id = gen_random_uuid()::text, origin = {ORIGIN}, "
                        "kept_from = pg_snapshot_xmin(pg_current_snapshot())::text::bigint "
                        f"WHERE origin <> {ORIGIN}"
                    ),
                    (),
                )
            )
            if mine:
                await session.execute((f"DELETE FROM {self.changes}", ()))

    def expiring(self) -> Statement:
        return (
            (
                f"SELECT now, expired_until, EXISTS (SELECT {self._expired('now')}) "
                f"FROM {self.log}, (SELECT {NOW} AS now) AS clock"
            ),
            (),
        )

    def expire(self, until: float, limit: int) -> Statement:
        return (
            (
                "WITH expired AS (SELECT namespace, key, version, expires_at "
                f"{self._expired('$1')} "
                "ORDER BY expires_at LIMIT $2 FOR UPDATE OF entry SKIP LOCKED) "
                f"INSERT INTO {self.changes} "
                "(transaction, event, namespace, key, version, expires_at, recorded_at) "
                "SELECT pg_current_xact_id()::text::bigint, 'expire', "
                f"namespace, key, version, expires_at, {NOW} FROM expired ON CONFLICT DO NOTHING"
            ),
            (until, limit),
        )

    def _expired(self, now: str) -> str:
        return (
            f"FROM {self.entries} AS entry WHERE expires_at > "
            f"(SELECT expired_until - {EXPIRY_MARGIN_SECONDS} FROM {self.log}) "
            f"AND expires_at <= {now} AND expires_at <> 0 AND NOT EXISTS ("
            f"SELECT FROM {self.changes} AS change WHERE event = 'expire' "
            "AND (change.namespace, change.key, change.version, change.expires_at) "
            "= (entry.namespace, entry.key, entry.version, entry.expires_at))"
        )

    async def remove_old(self, session: Session, retention: Retention, limit: int) -> int:
        ((kept_from, oldest, keep_from),) = await session.fetch(self._due(retention, limit))
        if oldest is None or oldest >= keep_from:
            return 0
        async with session.transaction():
            mine = await session.execute(
                (
                    f"UPDATE {self.log} SET kept_from = $2 WHERE kept_from = $1",
                    (kept_from, keep_from),
                )
            )
            if not mine:
                return 0
            return await session.execute(
                (
                    f"DELETE FROM {self.changes} WHERE transaction >= $1 AND transaction < $2",
                    (kept_from, keep_from),
                )
            )

    def _due(self, retention: Retention, limit: int) -> Statement:
        """Select from which transaction changes are kept, the oldest, and which should be that.

        A change that is not committed yet must stay. Therefore all transactions stay that a
        snapshot may not have.
        """
        return (
            (
                "WITH oldest AS MATERIALIZED (SELECT transaction, number, recorded_at "
                f"FROM {self.changes}, {self.log} "
                "WHERE transaction >= kept_from "
                "AND transaction < pg_snapshot_xmin(pg_current_snapshot())::text::bigint "
                "ORDER BY transaction, number LIMIT $3), "
                f"newest AS (SELECT number FROM {self.changes} "
                "ORDER BY transaction DESC, number DESC LIMIT 1) "
                "SELECT kept_from, (SELECT min(transaction) FROM oldest), "
                "coalesce((SELECT min(transaction) FROM oldest WHERE "
                f"recorded_at > {NOW} - $1 AND number > (SELECT number FROM newest) - $2), "
                f"(SELECT max(transaction) + 1 FROM oldest)) FROM {self.log}"
            ),
            (float(retention.seconds), retention.entries, limit),
        )
