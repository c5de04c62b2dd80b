"""Run an atomic batch with updates that the native API does not have.

The batch runs here, on entries that were read at one moment. Then an atomic batch writes what has
changed, if these entries are still the same. If one has changed, the batch starts again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from ...entry import Entry
from ...errors import Conflict, StorageFailure, StorageUnavailable
from ...operations import Batch, Delete, Get, Operation, Result, Set, Touch, Updated, unchanged
from ..batch import run_batch
from ..snapshot import EntryKey, Snapshot, read_first

TRIES: Final = 30
_PAUSE_SECONDS: Final = 0.05

Run = Callable[[Batch], Awaitable[Sequence[Result]]]


async def decided_batch(batch: Batch, run: Run, now: float) -> Sequence[Result]:
    """Run all operations or, if this raises, none. `run` runs a batch that the native API has."""
    keys = read_first(batch)
    for _ in range(TRIES):
        gets = Batch([Get(*key) for key in keys], atomic=True, read_bytes=batch.read_bytes)
        read = {key: one for key, one in zip(keys, await run(gets), strict=True) if one is not None}
        before = {key: entry for key, entry in read.items() if isinstance(entry, Entry)}
        table = Snapshot.of(before, now)
        results = run_batch(table, batch)
        changes = _changes(table, keys, before)
        try:
            written = await run(Batch(changes, atomic=True, read_bytes=batch.read_bytes))
        except Conflict:
            await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311  (nothing secret)
            continue
        versions = {
            entry.version: version
            for (_, entry), version in zip(table.kept, written, strict=False)
            if isinstance(version, str)
        }
        return [_with_versions(result, versions) for result in results]
    raise StorageUnavailable("Other requests keep changing these keys", StorageFailure.BUSY)


def _changes(
    table: Snapshot, keys: Sequence[EntryKey], before: Mapping[EntryKey, Entry]
) -> Sequence[Operation]:
    """Return the writes, and assertions that the other entries are the same."""
    guards = {key: unchanged(before.get(key)) for key in keys}
    sets = [Set.of(key[0], entry, guards.pop(key, None)) for key, entry in table.kept]
    deletes = [Delete(*key, guards.pop(key, None)) for key in table.removed]
    touches = [
        Touch(namespace=key[0], key=key[1], expires_at=expiry, precondition=guards.pop(key, None))
        for key, expiry in table.touched.items()
    ]
    return [*sets, *deletes, *touches, *(Get(*key, guard) for key, guard in guards.items())]


def _with_versions(result: Result, versions: Mapping[str, str]) -> Result:
    """Return a result with the versions that the server has made."""
    match result:
        case str():
            return versions.get(result, result)
        case Entry():
            return msgspec.structs.replace(
                result, version=versions.get(result.version, result.version)
            )
        case Updated():
            before, after = (
                one and msgspec.structs.replace(one, version=versions.get(one.version, one.version))
                for one in (result.before, result.after)
            )
            return Updated(before, after)
    return result
