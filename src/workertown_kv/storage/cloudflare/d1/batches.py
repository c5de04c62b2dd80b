"""Atomic batches: read what they depend on, then write as long as none of that has changed.

D1 takes all the statements of a transaction at once, and none can wait for what another found. So
what a batch comes to is decided here, on what was read at one moment; then one transaction asserts
that it is still so, and writes. Where it is not, nothing was written, and all begins again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, TypeVar

from ....operations import Batch, Get, Operation, Result
from ...batch import run_batch
from ...sql.dialects.sqlite import SqliteStatements
from ...sql.rows import EntryKey
from ...sql.snapshot import Found, Snapshot
from .database import Changed, Database

TRIES: Final = 16

# A statement of D1 takes 100 values.
KEYS_TOGETHER: Final = 64
_SEEN_TOGETHER: Final = 99 // 3
_ENTRIES_TOGETHER: Final = 16

_T = TypeVar("_T")


async def read(
    database: Database,
    statements: SqliteStatements,
    keys: Sequence[EntryKey],
    now: float,
    value_bytes: int,
) -> Mapping[EntryKey, Found]:
    """Return the entries under these keys, all as they are at one moment.

    Some values are left out where those of a statement have more bytes than these together.
    """
    asked = [statements.read(some, now, value_bytes) for some in _of_one_namespace(keys)]
    return statements.found_in([row for rows in await database.run(asked) for row in rows])


async def atomic_batch(
    database: Database,
    statements: SqliteStatements,
    batch: Batch,
    key_of: Callable[[Operation], EntryKey],
    now: float,
) -> Sequence[Result]:
    """Do all of it or, where it raises, nothing."""
    read_first = [*dict.fromkeys(key_of(one) for one in batch.operations if _depends(one))]
    tries = 0
    while True:
        found = await read(database, statements, read_first, now, batch.read_bytes)
        table = Snapshot(found, now, key_of)
        results = run_batch(table, batch)
        if not table.written:
            return results
        seen = [(at, found[at].version if at in found else None) for at in read_first]
        changes = [
            *(statements.unchanged(dict(some), now) for some in _chunks(seen, _SEEN_TOGETHER)),
            *(statements.put(some) for some in _chunks(table.kept, _ENTRIES_TOGETHER)),
            *(statements.remove(some) for some in _of_one_namespace(table.removed)),
        ]
        try:
            await database.run(changes)
        except Changed:
            tries += 1
            if tries == TRIES:
                raise
        else:
            return results


def _depends(operation: Operation) -> bool:
    return isinstance(operation, Get) or operation.precondition is not None


def _of_one_namespace(keys: Sequence[EntryKey]) -> Iterator[Sequence[EntryKey]]:
    for _, some in groupby(sorted(keys), lambda at: at[0]):
        yield from _chunks([*some], KEYS_TOGETHER)


def _chunks(items: Sequence[_T], length: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), length):
        yield items[start : start + length]
