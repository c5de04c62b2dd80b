"""Read the log of each bucket, in which the scripts record every change."""

import asyncio
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from ...errors import CursorGone, StorageUnsupported
from ...operations import Change, ChangePage, Event, ReadChanges
from ..contract import Clock
from .call import Argument, Call, script_call
from .cursor import ItemId, Position, ids_of
from .engine import Engine, Session
from .layout import LAYOUT, OLDER_SERVERS, Layout
from .scripts import BEGIN, EXPIRE

MOST_EXPIRED: Final = 500
"""How many expiries of a bucket to record at once."""

WAIT_SECONDS: Final = 1.0
"""How often a reader that waits for changes looks for entries that have expired."""

FEWEST_ITEMS: Final = 16
"""The fewest items to read from the log of each of many buckets."""

_EVENTS: Final = {event.value.encode(): event for event in Event}


async def read_changes(engine: Engine, operation: ReadChanges, clock: Clock) -> ChangePage:
    """Return the changes after the cursor. Raises the errors of `Storage.changes`."""
    now = asyncio.get_running_loop().time
    until = now() + operation.wait
    since = operation.since
    expiries_at = now()
    while True:
        async with engine.session() as session:
            _check(session)
            if since is None:
                return await _beginning(session, clock())
            looks_for_expiries = expiries_at <= now()
            if looks_for_expiries:
                expiries_at = now() + WAIT_SECONDS
            page = await _page(
                session, since, operation.limit, clock(), looks_for_expiries=looks_for_expiries
            )
            left = until - now()
            if page.changes or not page.complete or left <= 0:
                return page
            since = page.cursor
            seconds = min(left, WAIT_SECONDS)
            pause = await session.wait(_blocking(session.layout, since, seconds), seconds)
        await asyncio.sleep(min(pause, max(until - now(), 0)))


def _check(session: Session) -> None:
    if not session.kept:
        raise StorageUnsupported("This server records no changes, since its options say so")
    if session.layout.version < LAYOUT:
        raise StorageUnsupported(OLDER_SERVERS)


async def _beginning(session: Session, now: float) -> ChangePage:
    layout = session.layout
    while await _record(session, await session.all(_due(layout, now)), now):
        pass
    ids = await session.all(
        [
            script_call(layout.slot(bucket), BEGIN, [layout.log(bucket)], writes=True)
            for bucket in range(layout.buckets)
        ]
    )
    return ChangePage((), Position([ItemId.of(one) for one in ids]).cursor, complete=True)


async def _page(
    session: Session, since: str, limit: int, now: float, *, looks_for_expiries: bool
) -> ChangePage:
    layout = session.layout
    ids = ids_of(since, layout.buckets)
    part = min(limit, max(limit // layout.buckets, FEWEST_ITEMS))
    # The item of the cursor is read again: if it is gone, so are changes after it, perhaps.
    reads = [
        Call(layout.slot(bucket), ("XRANGE", layout.log(bucket), str(last), "+", "COUNT", part + 1))
        for bucket, last in enumerate(ids)
    ]
    searches = _due(layout, now) if looks_for_expiries else []
    answers = await session.all([*searches, *reads])
    expired, logs = answers[: len(searches)], answers[len(searches) :]
    is_more = False
    if any(expired):
        is_more = await _record(session, expired, now)
        logs = await session.all(reads)
    items: list[tuple[ItemId, int, Sequence[bytes]]] = []
    for bucket, (log, last) in enumerate(zip(logs, ids, strict=True)):
        if not log or ItemId.of(log[0][0]) != last:
            raise CursorGone
        is_more = is_more or len(log) > part
        items += [(ItemId.of(name), bucket, fields) for name, fields in log[1:]]
    if layout.buckets > 1:
        items.sort(key=itemgetter(0))  # this keeps the order within each bucket
    is_more = is_more or len(items) > limit
    position = Position(ids, [name for name, _, _ in items[:limit]])
    changes: list[Change] = []
    cursors: list[str] = []
    for name, bucket, fields in items[:limit]:
        position.move(bucket, name)
        change = _change(layout, bucket, fields)
        if change is not None:
            changes.append(change)
            cursors.append(position.cursor)
    return ChangePage(changes, position.cursor, not is_more, cursors)


def _due(layout: Layout, now: float) -> list[Call]:
    """Make a call for each bucket that finds expiries which are not recorded yet."""
    return [
        Call(
            layout.slot(bucket),
            ("ZRANGEBYSCORE", layout.expiring(bucket), "(0", repr(now), "LIMIT", 0, MOST_EXPIRED),
        )
        for bucket in range(layout.buckets)
    ]


async def _record(session: Session, expired: Sequence[Any], now: float) -> bool:
    """Record expiries of the entries of each bucket. Returns whether there may be more."""
    layout = session.layout
    await session.all(
        [
            # This does no harm if it happens twice, so it is sent again if its answer is lost.
            script_call(
                layout.slot(bucket),
                EXPIRE,
                [layout.expiring(bucket), layout.log(bucket), *entries],
                (repr(now), session.kept),
            )
            for bucket, entries in enumerate(expired)
            if entries
        ]
    )
    return any(len(entries) == MOST_EXPIRED for entries in expired)


def _blocking(layout: Layout, since: str, seconds: float) -> Call | None:
    """Return a call that waits for changes, unless the logs are in several slots."""
    buckets = range(layout.buckets)
    slots = {layout.slot(bucket) for bucket in buckets}
    if len(slots) > 1:
        return None
    logs, ids = map(layout.log, buckets), map(str, ids_of(since, layout.buckets))
    milliseconds = max(int(seconds * 1000), 1)  # 0 would wait for ever
    words: list[Argument] = ["XREAD", "COUNT", 1, "BLOCK", milliseconds, "STREAMS", *logs, *ids]
    return Call(slots.pop(), words)


def _change(layout: Layout, bucket: int, fields: Sequence[bytes]) -> Change | None:
    """Return the change in an item, unless the item only marks the beginning of a log."""
    given = dict(zip(fields[::2], fields[1::2], strict=True))
    event = _EVENTS.get(given[b"event"])
    if event is None:
        return None
    namespace, key = layout.entry_key(bucket, given[b"entry"])
    version, expires_at, metadata = given[b"version"], given[b"expires_at"], given[b"metadata"]
    return Change(
        event=event,
        namespace=namespace,
        key=key,
        version=version.decode() or None,
        expires_at=float(expires_at) if expires_at else None,
        metadata=metadata or None,
    )
