"""Atomic batches: read what they depend on, then write as long as none of that has changed.

D1 takes all the statements of a transaction at once, and none can wait for what another found. So
what a batch comes to is decided here, on what was read at one moment; then one transaction asserts
that it is still so, and writes. Where it is not, nothing was written, and all begins anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

from ....entry import Entry
from ....operations import Batch, Delete, Get, Result, Set
from ...batch import run_batch
from ...snapshot import Found, Snapshot
from .database import Changed, Database
from .rows import Place, Statement, columns_of, entry_of, place
from .statements import ENTRY, REPLACE

TRIES: Final = 16
MOST_MARKS: Final = 96
"""How many values a statement is given; D1 takes 100."""

KEYS_TOGETHER: Final = MOST_MARKS - 3
"""How many keys a statement reads."""

_ALIVE: Final = "(expires_at IS NULL OR expires_at > ?)"
_T = TypeVar("_T")


async def read(
    database: Database, places: Sequence[Place], now: float, value_bytes: int
) -> Mapping[Place, Found]:
    """What is at these places, all at one moment.

    Some values are left out where those of a statement have more bytes than these together.
    """
    rows = await database.run([*_reading(places, now, value_bytes)])
    return {
        (row.namespace, row.key): Found(row.version, entry_of(row)) for some in rows for row in some
    }


async def atomic_batch(database: Database, batch: Batch, now: float) -> Sequence[Result]:
    """Do all of it or, where it raises, nothing."""
    read_first = [*dict.fromkeys(place(one) for one in batch.operations if _depends(one))]
    tries = 0
    while True:
        found = await read(database, read_first, now, batch.read_bytes)
        table = Snapshot(found, place, now)
        results = run_batch(table, batch)
        if not table.written:
            return results
        seen = {at: found[at].version if at in found else None for at in read_first}
        gone = [at for at, entry in table.written.items() if entry is None]
        kept = [(at, entry) for at, entry in table.written.items() if entry is not None]
        try:
            await database.run([*_unchanged(seen, now), *_put(kept), *_remove(gone)])
        except Changed:
            tries += 1
            if tries == TRIES:
                raise
        else:
            return results


def _depends(operation: Get | Set | Delete) -> bool:
    return isinstance(operation, Get) or operation.precondition is not None


def _reading(places: Sequence[Place], now: float, value_bytes: int) -> Iterator[Statement]:
    for space, keys in _by_namespace(places):
        for some in _chunks(keys, KEYS_TOGETHER):
            yield (
                (
                    "SELECT namespace, key, version, expires_at, metadata, "
                    "iif(sum(octet_length(value)) OVER (ORDER BY key) <= ?, value, NULL) AS value "
                    f"FROM entry WHERE namespace = ? AND key IN ({_marks(some)}) AND {_ALIVE}"
                ),
                (value_bytes, space, *some, now),
            )


def _unchanged(seen: Mapping[Place, str | None], now: float) -> Iterator[Statement]:
    """Fail, and with it the transaction, where a version is not the one that was seen.

    A row that the table does not take is all with which a statement can end a transaction of D1.
    """
    versions = [(*at, version) for at, version in seen.items()]
    for some in _chunks(versions, MOST_MARKS // 3):
        rows = ", ".join(["(?, ?, ?)"] * len(some))
        yield (
            (
                f"WITH seen (namespace, key, version) AS (VALUES {rows}) "
                "INSERT INTO entry (namespace, key, version, value) "
                "SELECT NULL, NULL, NULL, NULL FROM seen LEFT JOIN entry "
                "ON entry.namespace = seen.namespace AND entry.key = seen.key "
                f"AND {_ALIVE} WHERE entry.version IS NOT seen.version"
            ),
            (*(value for row in some for value in row), now),
        )


def _put(entries: Sequence[tuple[Place, Entry]]) -> Iterator[Statement]:
    for some in _chunks(entries, MOST_MARKS // 6):
        rows = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(some))
        values = [value for at, entry in some for value in (*at, *columns_of(entry))]
        yield f"INSERT INTO entry ({ENTRY}) VALUES {rows} {REPLACE}", values


def _remove(places: Sequence[Place]) -> Iterator[Statement]:
    for space, keys in _by_namespace(places):
        for some in _chunks(keys, MOST_MARKS - 1):
            yield (
                f"DELETE FROM entry WHERE namespace = ? AND key IN ({_marks(some)})",
                (space, *some),
            )


def _by_namespace(places: Sequence[Place]) -> Iterator[tuple[str, Sequence[str]]]:
    keys: dict[str, list[str]] = {}
    for space, key in places:
        keys.setdefault(space, []).append(key)
    yield from keys.items()


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _chunks(items: Sequence[_T], length: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), length):
        yield items[start : start + length]
