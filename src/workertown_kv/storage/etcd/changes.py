"""Read the changes, which the history of a few keys of etcd has: the slots.

Each write puts a record of its changes into a slot. Since etcd counts how often a key was written,
the sum over all slots is the number of records, which tells a reader whether it has them all.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from typing import Final

import msgspec

from ...errors import CursorGone, StorageError, StorageUnavailable, StorageUnsupported
from ...operations import Change, ChangePage, Event, ReadChanges
from ..contract import Clock, Retention
from .cursor import Position, parsed_cursor
from .expiries import read_due, record_expiries
from .failures import late
from .layout import end_of, parsed_info
from .messages import KeyValue, is_absent, put, read, txn
from .reads import MOST_TOGETHER as READS_TOGETHER
from .reads import Sizes
from .records import BEGINNING, decoded
from .session import Engine

WAIT_SECONDS: Final = 1.0
"""How often a reader that waits for changes looks for entries that have expired."""

_BROKEN_SECONDS: Final = 0.1
"""How long a reader pauses if it cannot wait."""

_MOST_ROUNDS: Final = 5
"""How many times a page records expiries that are due."""


async def read_changes(
    engine: Engine, operation: ReadChanges, clock: Clock, retention: Retention | None
) -> ChangePage:
    """Return the changes after the cursor. Raises the errors of `Storage.changes`."""
    if retention is None:
        raise StorageUnsupported("This server records no changes, since its options say so")
    reader = _Reader(engine, clock, retention)
    if operation.since is None:
        return await reader.beginning()
    since = parsed_cursor(operation.since)
    now = asyncio.get_running_loop().time
    until = now() + operation.wait
    while True:
        page = await reader.page(since, operation.limit)
        left = until - now()
        if page.changes or not page.complete or left <= 0:
            return page
        since = parsed_cursor(page.cursor)
        await reader.wait(min(left, WAIT_SECONDS))


class _Log(msgspec.Struct, frozen=True):
    """The state of the log at a moment."""

    at: int
    """The revision of the cluster."""
    began: int
    """The revision at which the log began; 0 if there is none."""
    records: int
    """How many records there were since then."""
    new: Sequence[KeyValue]
    """The slots that were written after a revision, in order."""
    due: Sequence[KeyValue]
    """Expiries that are due and not recorded."""


class _Reader:
    """Reads the log."""

    def __init__(self, engine: Engine, clock: Clock, retention: Retention) -> None:
        self._engine = engine
        self._clock = clock
        self._retention = retention
        self._first = engine.layout.slot(0)
        self._slots = (engine.layout.changes, end_of(engine.layout.changes))
        self._read_at = 0
        """The revision of the cluster when the log was read last."""

    async def beginning(self) -> ChangePage:
        """Return an empty page with the cursor of now."""
        while True:
            log = await self._log(None)
            await self._record(log)
            if not log.began:
                async with self._engine.session() as session:
                    begin = txn([is_absent(self._first)], [put(self._first, BEGINNING)])
                    await session.transact(begin)
            elif not log.due:
                position = Position(log.began, log.at, log.records)
                return ChangePage((), position.cursor, complete=True)

    async def page(self, since: Position, limit: int) -> ChangePage:
        """Return the changes after a position that there are now."""
        rounds = 0
        while (log := await self._log(since.revision)).due and rounds < _MOST_ROUNDS:
            await self._record(log)
            rounds += 1
        missing = log.records - since.records
        if log.began != since.log or not 0 <= missing <= self._retention.entries:
            raise CursorGone
        found = log.new if len(log.new) == missing else await self._history(since, missing, limit)
        if found and decoded(found[0].value).at < self._clock() - self._retention.seconds:
            raise CursorGone
        changes, revisions, positions = _read(since, found, limit)
        await self._add_versions(changes, revisions)
        position = positions[-1] if positions else since
        is_complete = position.records >= log.records and not position.skipped and not log.due
        cursors = [one.cursor for one in positions]
        return ChangePage(changes, position.cursor, is_complete, cursors)

    async def wait(self, seconds: float) -> None:
        """Wait until there is a record that was not there when the log was read."""
        try:
            with suppress(TimeoutError):
                async with (
                    asyncio.timeout(seconds),
                    self._engine.watch(*self._slots, self._read_at + 1) as lines,
                ):
                    async for line in lines:
                        if line.events or line.canceled:
                            return
        except StorageUnavailable:
            await asyncio.sleep(min(_BROKEN_SECONDS, seconds))

    async def _add_versions(self, changes: list[Change], revisions: Sequence[int]) -> None:
        """Add the version to each deletion that was recorded without it, if it is still known.

        The entry is in the history of etcd, before the revision of the deletion.
        """
        unknown = [
            index
            for index, one in enumerate(changes)
            if one.event is Event.DELETE and one.version is None
        ]
        sizes = Sizes()
        while unknown:
            most = sizes.following(READS_TOGETHER)
            some, unknown = unknown[:most], unknown[most:]
            reads = [
                read(
                    self._engine.layout.entry(changes[index].namespace, changes[index].key),
                    revision=revisions[index] - 1,
                )
                for index in some
            ]
            try:
                async with self._engine.session() as session:
                    answers = (await session.read_all(reads)).responses
            except StorageUnavailable:
                raise
            except StorageError:
                return  # compacted
            for index, answer in zip(some, answers, strict=True):
                for slot in answer.response_range.kvs:
                    sizes.note([len(slot.value)])
                    version = parsed_info("", slot.value).version
                    changes[index] = msgspec.structs.replace(changes[index], version=version)

    async def _log(self, revision: int | None) -> _Log:
        """Read the log, with the records after a revision that are still in their slots."""
        layout = self._engine.layout
        reads = [read(*self._slots, keys_only=True), read_due(layout.expiring, self._clock())]
        if revision is not None:
            reads.append(read(*self._slots, min_mod_revision=revision + 1))
        async with self._engine.session() as session:
            answer = await session.read_all(reads)
        slots, due, *new = [one.response_range.kvs for one in answer.responses]
        self._read_at = answer.header.revision
        return _Log(
            at=answer.header.revision,
            began=next((one.create_revision for one in slots if one.key == self._first), 0),
            records=sum(one.version for one in slots),
            new=_in_order(new[0]) if new else (),
            due=due,
        )

    async def _record(self, log: _Log) -> None:
        async with self._engine.session() as session:
            await record_expiries(session, log.due, self._clock())

    async def _history(self, since: Position, missing: int, limit: int) -> Sequence[KeyValue]:
        """Return the records after a position, from the history of the slots."""
        found: list[KeyValue] = []
        start = since.revision + 1
        try:
            async with asyncio.timeout(self._engine.seconds):
                while start:
                    start = await self._watch(start, found, min(missing, limit + 1))
                    if start and not await self._is_whole(since, start):
                        raise CursorGone
        except TimeoutError as error:
            raise late(False) from error
        return found

    async def _watch(self, start: int, found: list[KeyValue], enough: int) -> int:
        """Add the records from a revision on until there are enough.

        Returns 0, or the revision before which etcd has forgotten the history.
        """
        async with self._engine.watch(*self._slots, start) as lines:
            async for line in lines:
                if line.canceled and not found:
                    return line.compact_revision + 1
                if line.canceled or any(event.type == "DELETE" for event in line.events):
                    raise CursorGone
                found += _in_order([event.kv for event in line.events])
                if len(found) >= enough:
                    return 0
        raise StorageUnavailable("Etcd has ended the watch of the changes")

    async def _is_whole(self, since: Position, start: int) -> bool:
        """Return whether there is no record between a position and a revision."""
        async with self._engine.session() as session:
            slots = await session.read(*self._slots, keys_only=True, revision=start - 1)
        return sum(one.version for one in slots.kvs) == since.records


def _in_order(slots: Sequence[KeyValue]) -> list[KeyValue]:
    return sorted(slots, key=lambda slot: (slot.mod_revision, slot.key))


def _read(
    since: Position, found: Sequence[KeyValue], limit: int
) -> tuple[list[Change], list[int], list[Position]]:
    """Return at most `limit` changes, the revision of each, and the position after each."""
    changes: list[Change] = []
    revisions: list[int] = []
    positions: list[Position] = []
    for revision, slots in groupby(found, lambda slot: slot.mod_revision):
        records = [decoded(slot.value).read() for slot in slots]
        some = [change for record in records for change in record]
        end = Position(since.log, revision, since.records + len(records))
        for number in range(since.skipped, len(some)):
            if len(changes) == limit:
                return changes, revisions, positions
            changes.append(some[number])
            revisions.append(revision)
            inside = Position(since.log, since.revision, since.records, number + 1)
            positions.append(inside if number + 1 < len(some) else end)
        since = end
    return changes, revisions, positions
