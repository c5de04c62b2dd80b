"""Run batches: the reads in one statement, the writes in one transaction."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from ...entry import Entry
from ...operations import Batch, Get, Result, Update
from ..batch import keys_of, run_batch
from ..gathered_operations import JOB_BYTES
from ..snapshot import EntryKey, Found, Snapshot
from ..version import new_version
from .rows import checked_key
from .server_statements import ServerStatements
from .session import Session

MOST_ROWS: Final = 512
"""The most rows in a statement that writes."""

MOST_BYTES: Final = 256 * 1024
"""The most bytes of keys and values in a statement that writes several rows.

MySQL gets up to twice as many, because rows are repeated. Every server accepts so much.
"""

_T = TypeVar("_T")


async def read_entries(
    session: Session,
    statements: ServerStatements,
    keys: Sequence[EntryKey],
    now: float,
    value_bytes: int,
) -> Mapping[EntryKey, Found]:
    """Return the entries under these keys, all as of the same moment.

    Leaves out some values if all values have more than `value_bytes` together.
    """
    if not keys:
        return {}
    return statements.found_in(await session.fetch(statements.read(keys, now, value_bytes)))


async def batch_in_transaction(
    session: Session, statements: ServerStatements, batch: Batch, now: float
) -> Sequence[Result]:
    """Run all operations at one moment or, if this raises, none.

    A batch that is not atomic has only writes, which succeed or fail independently.

    First this locks every key, even without an entry, in an order that all batches share. From then
    on nobody else can change these keys: the reads stay true until the transaction ends, and all
    operations happen at that moment.
    """
    keys = sorted({checked_key(item) for item in keys_of(batch)})
    async with session.transaction():
        placeholder = new_version()
        placed = 0
        for some in _chunks(keys, _key_size):
            placed += await session.execute(statements.claim(some, placeholder))
        valued = _read_first(batch)
        read = await read_entries(session, statements, valued, now, batch.read_bytes)
        found = dict(read)
        others = sorted(set(keys) - set(valued))
        for at, other in (await read_entries(session, statements, others, now, -1)).items():
            # Only a get after a failed write reads this entry. The batch fails anyway, and only
            # the precondition of the get matters.
            unread = Entry(key=at[1], value=b"", version=other.version)
            found[at] = Found(other.version, other.expires_at, unread)
        table = Snapshot(found, now)
        results = run_batch(table, batch)
        if session.certifies:
            await _write_again(session, statements, table, read)
        for step in table.steps:
            await _put(session, statements, step.kept)
            for some in _chunks(step.removed, _key_size):
                await session.execute(statements.remove(some))
            await _touch(session, statements, step.touched)
        absent = [at for at in keys if at not in found and at not in table.written]
        if placed or session.certifies:
            # Only the rows made here: an expired row may be alive by the clock of another server.
            for some in _chunks(absent, _key_size):
                await session.execute(statements.remove(some, placeholder))
        if session.certifies:
            for some in _chunks(absent, _key_size):
                await session.execute(statements.renew(some, placeholder))
    return results


async def _write_again(
    session: Session, statements: ServerStatements, table: Snapshot, found: Mapping[EntryKey, Found]
) -> None:
    """Also write the entries that were only read, to conflict with writes on other servers.

    Another server does not know the locks here. The rows are removed and written again, since a
    write that changes nothing is not replicated.
    """
    read = [
        (at, read.entry)
        for at, read in found.items()
        if at not in table.written and isinstance(read.entry, Entry)
    ]
    for some in _chunks([at for at, _ in read], _key_size):
        await session.execute(statements.remove(some))
    await _put(session, statements, read)


async def _touch(
    session: Session, statements: ServerStatements, lifetimes: Mapping[EntryKey, float | None]
) -> None:
    alike: dict[float | None, list[EntryKey]] = defaultdict(list)
    for at, expires_at in lifetimes.items():
        alike[expires_at].append(at)
    for expires_at, keys in alike.items():
        for some in _chunks(keys, _key_size):
            await session.execute(statements.touch_each(some, expires_at))


async def _put(
    session: Session, statements: ServerStatements, entries: Sequence[tuple[EntryKey, Entry]]
) -> None:
    small = [item for item in entries if len(item[1].value) <= JOB_BYTES]
    for some in _chunks(small, _size):
        await session.execute(statements.put_each(some))
    for item in entries:
        if len(item[1].value) > JOB_BYTES:
            await session.execute(statements.put([item]))


def _read_first(batch: Batch) -> Sequence[EntryKey]:
    """Return the keys whose values the batch reads before it writes them."""
    read: dict[EntryKey, None] = {}
    written = set()
    for operation in batch.operations:
        at = checked_key(operation)
        # A write may fail, and then the operations after it need the value that was there. Only in
        # an atomic batch it does not matter what a get after the failure finds.
        is_get = isinstance(operation, Get)
        if isinstance(operation, Update) or (is_get and not (batch.atomic and at in written)):
            read[at] = None
        if not is_get:
            written.add(at)
    return list(read)


def _key_size(at: EntryKey) -> int:
    return len(at[1].encode())


def _size(item: tuple[EntryKey, Entry]) -> int:
    (_, key), entry = item
    return len(key.encode()) + len(entry.value)


def _chunks(items: Sequence[_T], size: Callable[[_T], int]) -> Iterator[Sequence[_T]]:
    """Yield the items of each statement."""
    start = 0
    while start < len(items):
        length = 1
        total = size(items[start])
        for item in items[start + 1 : start + MOST_ROWS]:
            total += size(item)
            if total > MOST_BYTES:
                break
            length += 1
        yield items[start : start + length]
        start += length
