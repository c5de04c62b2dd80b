"""Batches: those that only read in one statement, and atomic ones in one transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from ...entry import Entry
from ...operations import Batch, Get, Result
from ..batch import run_batch
from ..version import new_version
from .rows import EntryKey, entry_key
from .server_statements import ServerStatements
from .session import Session
from .snapshot import Found, Snapshot

MOST_ROWS: Final = 512
"""In one statement that writes."""

MOST_BYTES: Final = 512 * 1024
"""Of keys and values in a statement that writes several; every server takes that much."""

_T = TypeVar("_T")


async def read_entries(
    session: Session,
    statements: ServerStatements,
    keys: Sequence[EntryKey],
    now: float,
    value_bytes: int,
) -> Mapping[EntryKey, Found]:
    """Return the entries under these keys, all as they are at one moment.

    Some values are left out where all together have more bytes than these.
    """
    if not keys:
        return {}
    return statements.found_in(await session.fetch(statements.read(keys, now, value_bytes)))


async def atomic_batch(
    session: Session, statements: ServerStatements, batch: Batch, now: float
) -> Sequence[Result]:
    """Do all of it or, where it raises, nothing.

    First every key is locked, whether it is there or not, in an order that all batches have. From
    then on nobody else can change one of them: what is read stays true until the transaction ends,
    which is the moment at which all of it happens.
    """
    keys = sorted({entry_key(one) for one in batch.operations})
    async with session.transaction():
        placeholder = new_version()
        placed = 0
        for some in _chunks(keys, _key_size):
            placed += await session.execute(statements.claim(some, placeholder))
        valued = _read_first(batch)
        found = dict(await read_entries(session, statements, valued, now, batch.read_bytes))
        others = sorted(set(keys) - set(valued))
        for at, one in (await read_entries(session, statements, others, now, -1)).items():
            # Whoever reads it after all does so since a write before has failed, and with it the
            # batch: all that counts is whether its guard holds.
            seen = Entry(key=at[1], value=b"", version=one.version)
            found[at] = Found(one.version, seen)
        table = Snapshot(found, now)
        results = run_batch(table, batch)
        if session.certifies:
            await _touch(session, statements, table, found)
        for several in _chunks(table.kept, _size):
            await session.execute(statements.put(several))
        for some in _chunks(table.removed, _key_size):
            await session.execute(statements.remove(some))
        absent = [at for at in keys if at not in found and at not in table.written]
        if placed or session.certifies:
            # Only what was made here: an expired row may still live by the clock of another server.
            for some in _chunks(absent, _key_size):
                await session.execute(statements.remove(some, placeholder))
        if session.certifies:
            for some in _chunks(absent, _key_size):
                await session.execute(statements.renew(some, placeholder))
    return results


async def _touch(
    session: Session, statements: ServerStatements, table: Snapshot, found: Mapping[EntryKey, Found]
) -> None:
    """Write what was only read, too, so that another server's write of it is in the way.

    Such a server knows nothing of the locks here. It has to be written again: where nothing would
    change, nothing is said to have been written.
    """
    read = [
        (at, one.entry)
        for at, one in found.items()
        if at not in table.written and isinstance(one.entry, Entry)
    ]
    for some in _chunks(read, _size):
        await session.execute(statements.remove([at for at, _ in some]))
        await session.execute(statements.put(some))


def _read_first(batch: Batch) -> Sequence[EntryKey]:
    """Return the keys whose values are read before anything is written under them."""
    read: dict[EntryKey, None] = {}
    written = set()
    for operation in batch.operations:
        at = entry_key(operation)
        if not isinstance(operation, Get):
            written.add(at)
        elif at not in written:
            read[at] = None
    return list(read)


def _key_size(at: EntryKey) -> int:
    return len(at[1].encode())


def _size(one: tuple[EntryKey, Entry]) -> int:
    (_, key), entry = one
    return len(key.encode()) + len(entry.value)


def _chunks(items: Sequence[_T], size: Callable[[_T], int]) -> Iterator[Sequence[_T]]:
    """Pieces for one statement each, of a few lengths, so that there are few texts to prepare."""
    start = 0
    while start < len(items):
        length = 1
        total = size(items[start])
        for item in items[start + 1 : start + MOST_ROWS]:
            total += size(item)
            if total > MOST_BYTES:
                break
            length += 1
        length = 1 << (length.bit_length() - 1)
        yield items[start : start + length]
        start += length
