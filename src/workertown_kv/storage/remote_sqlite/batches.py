"""Run atomic batches: read the entries on which they depend, then write if none has changed.

The engine takes all statements of a transaction at once, so no statement can depend on the result
of another. So this module runs the batch on entries that were read at one moment. Then a
transaction asserts that these entries are unchanged, and writes. If an entry has changed, the
transaction writes nothing, and the batch starts again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, TypeVar

from ...operations import Batch, Operation, Result
from ..batch import run_batch
from ..snapshot import EntryKey, Found, Snapshot, read_first
from ..sql.dialects.sqlite import SqliteStatements
from .database import Changed, Database, Limits

TRIES: Final = 16

# D1 accepts 100 values in a statement.
_KEYS_TOGETHER: Final = 64
_SEEN_TOGETHER: Final = 99 // 4
_ENTRIES_TOGETHER: Final = 16

_T = TypeVar("_T")


async def read(
    database: Database,
    statements: SqliteStatements,
    limits: Limits,
    keys: Sequence[EntryKey],
    now: float,
    value_bytes: int,
) -> Mapping[EntryKey, Found]:
    """Return the entries under these keys, all as of the same moment.

    Leaves out some values if they have more than `value_bytes`, or than the engine answers at once.
    """
    together = [*_of_one_namespace(keys)]
    most = min(value_bytes, limits.read_bytes // max(len(together), 1))
    reads = [statements.read(some, now, most) for some in together]
    answers = await database.run(reads, writes=False)
    return statements.found_in([row for rows in answers for row in rows])


async def atomic_batch(
    database: Database,
    statements: SqliteStatements,
    limits: Limits,
    batch: Batch,
    key_of: Callable[[Operation], EntryKey],
    now: float,
) -> Sequence[Result]:
    """Run all operations or, if this raises, none."""
    keys = read_first(batch, key_of)
    tries = 0
    while True:
        found = await read(database, statements, limits, keys, now, batch.read_bytes)
        table = Snapshot(found, now, key_of)
        results = run_batch(table, batch)
        if not (table.written or table.touched):
            return results
        seen = [(at, found.get(at)) for at in keys]
        changes = [
            *(statements.unchanged(dict(some), now) for some in _chunks(seen, _SEEN_TOGETHER)),
            *(statements.put(some) for some in _chunks(table.kept, _ENTRIES_TOGETHER)),
            *(statements.remove(some) for some in _of_one_namespace(table.removed)),
            *(statements.touch_each([at], expiry) for at, expiry in table.touched.items()),
        ]
        try:
            await database.run(changes, writes=True)
        except Changed:
            tries += 1
            if tries == TRIES:
                raise
        else:
            return results


def _of_one_namespace(keys: Sequence[EntryKey]) -> Iterator[Sequence[EntryKey]]:
    for _, some in groupby(sorted(keys), lambda at: at[0]):
        yield from _chunks([*some], _KEYS_TOGETHER)


def _chunks(items: Sequence[_T], length: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), length):
        yield items[start : start + length]
