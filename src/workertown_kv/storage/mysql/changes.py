"""Read changes from MySQL by their numbers, since commits finish out of order.

A change has its number before its transaction commits, so a number may appear after larger numbers
were read. A cursor therefore has the last number that was read, and the numbers before it that
were not there: the gaps. The next page also has the changes that have appeared in gaps. So nothing
is skipped, and no writer waits. A change has its number while its row is locked, so the changes of
a key are in the order of their numbers.

A transaction that was undone leaves a gap for ever. A gap is forgotten after a while, once not even
an uncommitted change has its number.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Self

import msgspec

from ...errors import CursorGone, InputError, KvError, StorageUnsupported
from ...operations import ChangePage
from ..contract import Retention
from ..sql.changes.feed import COLUMNS, ChangeReader, change_of, not_recorded
from ..sql.changes.layout import EXPIRY_MARGIN_SECONDS
from ..sql.changes.mysql import NOW, expiry_of
from ..sql.session import Session
from ..sql.writing import Statement, Writing

GAP_SECONDS: Final = 10.0
"""How long a gap is kept without looking for an uncommitted change.

The engine takes a number just before it makes the row, so that for a moment there is no such row.
"""

MOST_RANGES: Final = 64
"""How many gaps a statement looks into."""

_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Gap(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Numbers that were not there."""

    first: _Number
    last: _Number
    since: _Number
    """When that was found, or last confirmed, in seconds of the engine."""


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A position in the changes."""

    log: str
    """The identity of the log."""
    number: _Number
    """The largest number that was read, 0 if there was none."""
    recorded_at: float
    """When that change was recorded. A server that lost changes may use a number again."""
    gaps: tuple[Gap, ...] = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the cursor in a text. Raises `InputError`."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise InputError("This is not a cursor of changes") from error

    def past(self, row: Sequence[Any], now: int) -> "Cursor":
        """Return the position after another change. `now` is when a gap before it is found."""
        number, recorded_at = row[:2]
        if number < self.number:
            gaps = tuple(_without(self.gaps, [number]))
            return Cursor(self.log, self.number, self.recorded_at, gaps)
        gaps = self.gaps
        if number > self.number + 1:
            gaps += (Gap(self.number + 1, number - 1, now),)
        return Cursor(self.log, number, recorded_at, gaps)

    def __str__(self) -> str:
        return msgspec.json.encode(self).decode()


class MysqlChanges(ChangeReader):
    """Reads the changes of a table in MySQL."""

    async def check_engine(self, session: Session) -> None:
        """Refuse servers that give numbers in another order than that of the changes."""
        if session.certifies:
            raise StorageUnsupported(
                "This storage has no changes: each node of a Galera cluster numbers its own "
                "changes, so they have no common order."
            )
        ((step,),) = await session.fetch(("SELECT @@auto_increment_increment", ()))
        if step != 1:
            raise StorageUnsupported(
                "This storage has no changes: auto_increment_increment is "
                f"{step}, as where several servers number changes; expected 1."
            )

    async def page(self, session: Session, since: str | None, limit: int) -> ChangePage:
        if since is None:
            return ChangePage((), str(await self._end(session)), complete=True)
        after = Cursor.of(since)
        rows = await session.fetch(self._read(after, limit))
        log, kept_from, recorded_at, now, *_ = rows[0]
        is_kept = recorded_at == after.recorded_at if after.number else kept_from <= 1
        is_whole = all(gap.first >= kept_from for gap in after.gaps)
        if not (log.decode() == after.log and is_kept and is_whole):
            raise CursorGone
        found = [row[4:] for row in rows if row[4] is not None]
        complete = len(found) <= limit
        found = found[:limit]
        largest = max(after.number, found[-1][0] if found else 0)
        gaps = _without(
            [*after.gaps, Gap(after.number + 1, largest, int(now))], [row[0] for row in found]
        )
        if gaps:
            # While the engine made the view of the first read, a change may have been committed
            # that the view has, after one of the same key that it does not have.
            late = await self._in_gaps(session, gaps, f"number, recorded_at, {COLUMNS}")
            found = sorted([*found, *late], key=_number)
        last, cursors = after, []
        for row in found:
            last = last.past(row, int(now))
            cursors.append(str(last))
        open_gaps = await self._open(session, list(last.gaps), int(now))
        cursor = str(Cursor(last.log, last.number, last.recorded_at, tuple(open_gaps)))
        return ChangePage([change_of(row[2:]) for row in found], cursor, complete, cursors)

    def _read(self, after: Cursor, limit: int) -> Statement:
        to = Writing(self.mark)
        return to.statement(
            f"SELECT id, kept_from, (SELECT recorded_at FROM {self.changes} "
            f"WHERE number = {to.add(after.number)}), {NOW}, found.* "
            f"FROM {self.log} LEFT JOIN ("
            f"SELECT number, recorded_at, {COLUMNS} FROM {self.changes} "
            f"WHERE number > {to.add(after.number)} OR {_within(to, after.gaps[:MOST_RANGES])} "
            f"ORDER BY number LIMIT {to.add(limit + 1)}) AS found ON 1 = 1 ORDER BY found.number"
        )

    async def _end(self, session: Session) -> Cursor:
        """Return the cursor after all changes that are committed."""
        ((log, number, recorded_at),) = await session.fetch(
            (
                (
                    "SELECT id, COALESCE(number, 0), COALESCE(recorded_at, 0) "
                    f"FROM {self.log} LEFT JOIN (SELECT number, recorded_at FROM {self.changes} "
                    "ORDER BY number DESC LIMIT 1) AS last ON 1 = 1"
                ),
                (),
            )
        )
        if not log:
            raise not_recorded()
        to = Writing(self.mark)
        rows = await session.fetch(
            to.statement(
                f"SELECT previous + 1, number - 1, recorded_at, {NOW} FROM ("
                "SELECT number, recorded_at, "
                "COALESCE(LAG(number) OVER (ORDER BY number), "
                f"(SELECT GREATEST(kept_from, 1) - 1 FROM {self.log})) AS previous "
                f"FROM {self.changes} WHERE number <= {to.add(number)}) AS each_number "
                "WHERE number > previous + 1"
            )
        )
        gaps = [Gap(first, last, int(at)) for first, last, at, _ in rows]
        if gaps:
            gaps = await self._open(session, gaps, int(rows[0][3]))
        return Cursor(log.decode(), number, recorded_at, tuple(gaps))

    async def _open(self, session: Session, gaps: list[Gap], now: int) -> list[Gap]:
        """Return the gaps in which a change may still appear."""
        old = [gap for gap in gaps if now - gap.since > GAP_SECONDS]
        if not old:
            return gaps
        await session.run("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
        try:
            uncommitted = await self._in_gaps(session, old, "number")
            await session.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        except KvError:
            session.terminate()
            raise
        found = [Gap(number, number, now) for (number,) in uncommitted]
        return sorted([*(gap for gap in gaps if gap not in old), *found], key=_first)

    async def _in_gaps(
        self, session: Session, gaps: Sequence[Gap], columns: str
    ) -> Sequence[Sequence[Any]]:
        rows: list[Sequence[Any]] = []
        for start in range(0, len(gaps), MOST_RANGES):
            to = Writing(self.mark)
            within = _within(to, gaps[start : start + MOST_RANGES])
            rows += await session.fetch(
                to.statement(f"SELECT {columns} FROM {self.changes} WHERE {within} ORDER BY number")
            )
        return rows

    def expiring(self) -> Statement:
        return (
            f"SELECT {NOW}, expired_until, EXISTS (SELECT 1 {self._expired(NOW)}) FROM {self.log}",
            (),
        )

    def expire(self, until: float, limit: int) -> Statement:
        to = Writing(self.mark)
        return to.statement(
            f"INSERT IGNORE INTO {self.changes} "
            '(event, namespace, "key", version, expires_at, recorded_at, expiry) '
            f"SELECT 'expire', namespace, \"key\", version, expires_at, {NOW}, "
            f"{expiry_of('entry')} "
            f"{self._expired(to.add(until))} ORDER BY expires_at LIMIT {to.add(limit)} "
            "FOR UPDATE SKIP LOCKED"
        )

    def _expired(self, now: str) -> str:
        return (
            f"FROM {self.entries} AS entry WHERE expires_at > "
            f"(SELECT expired_until - {EXPIRY_MARGIN_SECONDS} FROM {self.log}) "
            f"AND expires_at <= {now} AND expires_at <> 0 AND NOT EXISTS ("
            f"SELECT 1 FROM {self.changes} AS recorded "
            f"WHERE recorded.expiry = {expiry_of('entry')})"
        )

    async def remove_old(self, session: Session, retention: Retention, limit: int) -> int:
        ((oldest, keep_from),) = await session.fetch(self._due(retention, limit))
        if oldest is None or oldest >= keep_from:
            return 0
        to = Writing(self.mark)
        async with session.transaction():
            # An uncommitted change must stay, and whoever waited for it would wait with a lock.
            locked = await session.fetch(
                to.statement(
                    f"SELECT COUNT(*) FROM {self.changes} "
                    f"WHERE number < {to.add(keep_from)} FOR UPDATE NOWAIT"
                )
            )
            await session.execute(
                (f"UPDATE {self.log} SET kept_from = GREATEST(kept_from, ?)", (keep_from,))
            )
            await session.execute((f"DELETE FROM {self.changes} WHERE number < ?", (keep_from,)))
        return int(locked[0][0])

    def _due(self, retention: Retention, limit: int) -> Statement:
        """Select the oldest change, and the change that should be the oldest.

        The last change always stays: a cursor is good as long as the change that it names is there.
        """
        to = Writing(self.mark)
        return to.statement(
            "SELECT MIN(number), LEAST(COALESCE(MIN(CASE WHEN "
            f"recorded_at > {NOW} - {to.add(float(retention.seconds))} "
            f"AND number > newest - {to.add(retention.entries)} THEN number END), "
            "MAX(number) + 1), MAX(newest)) FROM ("
            "SELECT number, recorded_at, "
            f"(SELECT MAX(number) FROM {self.changes}) AS newest FROM {self.changes} "
            f"ORDER BY number LIMIT {to.add(limit)}) AS oldest"
        )

    @staticmethod
    def mark(_: int) -> str:
        """Return the mark of a value."""
        return "?"


def _first(gap: Gap) -> int:
    return gap.first


def _number(row: Sequence[Any]) -> int:
    number: int = row[0]
    return number


def _within(to: Writing, gaps: Sequence[Gap]) -> str:
    """Return the condition of being in a gap. The last gap is repeated as for `Writing.among`."""
    if not gaps:
        return "1 = 0"
    length = 1 << (len(gaps) - 1).bit_length()
    ranges = [*gaps, *[gaps[-1]] * (length - len(gaps))]
    return (
        "("
        + " OR ".join(
            [f"number BETWEEN {to.add(gap.first)} AND {to.add(gap.last)}" for gap in ranges]
        )
        + ")"
    )


def _without(gaps: Iterable[Gap], numbers: Sequence[int]) -> list[Gap]:
    """Return the gaps that are left if these numbers, in order, have appeared."""
    left: list[Gap] = []
    for gap in gaps:
        first = gap.first
        for number in numbers:
            if first <= number <= gap.last:
                if first < number:
                    left.append(Gap(first, number - 1, gap.since))
                first = number + 1
        if first <= gap.last:
            left.append(Gap(first, gap.last, gap.since))
    return left
