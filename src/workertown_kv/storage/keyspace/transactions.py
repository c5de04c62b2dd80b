"""Run batches that decide outside of Redis: read, decide, and write if nothing has changed."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Final

from ...entry import Entry
from ...errors import PreconditionFailed, ValueTooLarge
from ...operations import (
    Batch,
    Delete,
    Get,
    Operation,
    Precondition,
    Result,
    Set,
    Touch,
    unchanged,
)
from ..batch import run_batch
from ..contract import Clock
from ..snapshot import EntryKey, Snapshot, read_first
from .batches import Run
from .engine import Session

_LONGEST_PAUSE_SECONDS: Final = 0.1


async def run_transaction(session: Session, batch: Batch, clock: Clock) -> Sequence[Result]:
    """Do all operations at one moment, or none, until the deadline of the session."""
    pause = 0.001
    keys = read_first(batch)
    gets = [Get(*at) for at in keys]
    while True:
        entries = dict(zip(keys, await _read(session, gets, batch, clock), strict=True))
        table = Snapshot.of(entries, clock())
        results = run_batch(table, batch)
        if not table.steps:
            return results
        writes, versions = _writes(table, entries)
        outcomes = await Run(session, writes, clock, versions).at_once(batch.read_bytes)
        if not any(isinstance(one, PreconditionFailed) for one in outcomes):
            return results
        await asyncio.sleep(random.uniform(0, pause))  # noqa: S311  (nothing secret)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


async def _read(
    session: Session, gets: Sequence[Get], batch: Batch, clock: Clock
) -> list[Entry | None]:
    entries: list[Entry | None] = []
    for one in await Run(session, gets, clock).at_once(batch.read_bytes):
        if isinstance(one, bool):
            raise ValueTooLarge(
                f"The values of the batch have more than {batch.read_bytes:,} bytes together"
            )
        assert one is None or isinstance(one, Entry)
        entries.append(one)
    return entries


def _writes(
    table: Snapshot, entries: Mapping[EntryKey, Entry | None]
) -> tuple[list[Operation], list[str]]:
    """Return the writes of a batch, with the version of each set, and guards for what was read."""
    guards: dict[EntryKey, Precondition] = {at: unchanged(entry) for at, entry in entries.items()}
    writes: list[Operation] = []
    versions: list[str] = []
    for step in table.steps:
        for at, entry in step.written.items():
            guard = guards.pop(at, None)
            writes.append(Delete(*at, guard) if entry is None else Set.of(at[0], entry, guard))
            versions.append("" if entry is None else entry.version)
        for (space, key), expires_at in step.touched.items():
            guard = guards.pop((space, key), None)
            writes.append(
                Touch(namespace=space, key=key, expires_at=expires_at, precondition=guard)
            )
            versions.append("")
    for at, guard in guards.items():
        writes.append(Get(*at, guard))
        versions.append("")
    return writes, versions
