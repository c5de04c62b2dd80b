"""Run atomic batches.

DynamoDB decides sets and deletes of different keys in one transaction. For other batches, the
entries are read at one moment first, and the transaction only happens if they are unchanged.
"""

from collections.abc import Mapping, Sequence

from ...entry import Entry
from ...errors import Conflict
from ...operations import (
    Batch,
    Delete,
    Get,
    Operation,
    Precondition,
    Result,
    Set,
    Touch,
    Update,
    unchanged,
)
from ..batch import run_batch
from ..contract import Clock
from ..snapshot import EntryKey, Found, Snapshot, entry_key, read_first
from ..version import new_version
from .failures import Cancelled, Conflicted
from .large import read_chunks
from .layout import Item, chunks_in, entry_of, expiry_in, is_alive
from .table import Table
from .transactions import Step, commit, read_at_once


async def run_atomic(table: Table, batch: Batch, clock: Clock) -> Sequence[Result]:
    """Do all operations at one moment, or none."""
    for operation in batch.operations:
        table.layout.key_of(operation)  # an entry that cannot exist is an error
    if batch.record is None and _is_direct(batch.operations):
        return await _run_direct(table, batch.operations, clock)
    return await _run_decided(table, batch, clock)


def _is_direct(operations: Sequence[Operation]) -> bool:
    """Return whether DynamoDB can decide all of a batch in one step."""
    is_known = all(isinstance(one, Set | Delete) for one in operations)
    return is_known and len({entry_key(one) for one in operations}) == len(operations)


async def _run_direct(
    table: Table, operations: Sequence[Operation], clock: Clock
) -> Sequence[Result]:
    steps = [
        Step(one, new_version() if isinstance(one, Set) else "")
        for one in operations
        if isinstance(one, Set | Delete)
    ]
    if steps:
        try:
            await commit(table, steps, clock())
        except Cancelled as error:
            raise Conflict(error.failed) from error
    return [step.version or None for step in steps]


async def _run_decided(table: Table, batch: Batch, clock: Clock) -> Sequence[Result]:
    needed = read_first(batch)
    with_values = {entry_key(one) for one in batch.operations if isinstance(one, Get | Update)}
    patience = table.connection.patience()
    while True:
        items = await read_at_once(table, [table.layout.key(*at) for at in needed])
        now = clock()
        alive = {
            at: item for at in needed if is_alive(item := items.get(table.layout.key(*at), {}), now)
        }
        found = await _found(table, alive, with_values, batch.read_bytes)
        if found is not None:
            snapshot = Snapshot(found, now)
            results = run_batch(snapshot, batch)
            if not snapshot.steps:
                return results
            try:
                await commit(table, _steps(snapshot, needed, found), now)
            except Cancelled:
                pass
            else:
                return results
        await patience.wait(Conflicted())


async def _found(
    table: Table, alive: Mapping[EntryKey, Item], with_values: set[EntryKey], read_bytes: int
) -> dict[EntryKey, Found] | None:
    """Return the entries in items, `None` if another request has replaced one of them."""
    found: dict[EntryKey, Found] = {}
    left = read_bytes
    for at, item in alive.items():
        chunks = chunks_in(item)
        entry: Entry | bool = False
        if chunks is None:
            entry = entry_of(item)
        elif at in with_values and chunks.size <= left:
            value = await read_chunks(table, chunks)
            if value is None:
                return None
            left -= chunks.size
            entry = entry_of(item, value)
        found[at] = Found(item["version"]["S"], expiry_in(item), entry)
    return found


def _steps(
    snapshot: Snapshot, needed: Sequence[EntryKey], found: Mapping[EntryKey, Found]
) -> list[Step]:
    """Return the writes of a batch, and the checks that what was read is unchanged."""
    guards: dict[EntryKey, Precondition] = {at: unchanged(found.get(at)) for at in needed}
    steps: list[Step] = []
    for at, entry in snapshot.written.items():
        guard = guards.pop(at, None)
        if entry is None:
            steps.append(Step(Delete(*at, guard)))
        else:
            steps.append(Step(Set.of(at[0], entry, guard), entry.version))
    for (space, key), expires_at in snapshot.touched.items():
        guard = guards.pop((space, key), None)
        touch = Touch(namespace=space, key=key, expires_at=expires_at, precondition=guard)
        steps.append(Step(touch))
    return steps + [Step(Get(*at, guard)) for at, guard in guards.items()]
