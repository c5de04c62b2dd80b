"""Run atomic batches: read, decide, and write if no entry has changed meanwhile."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import structs

from ...entry import Entry
from ...errors import StorageUnsupported, ValueTooLarge
from ...operations import Batch, Change, Event, Result
from ..batch import keys_of, run_batch
from ..contract import Clock
from ..snapshot import EntryKey, Snapshot, entry_key
from .layout import Stored
from .messages import MOST_OPERATIONS, Message, delete, inside, is_at, is_value, read, txn
from .records import gone_change, set_change
from .session import Session
from .writes import stored
from .writing import Writing

_FIRST_PAUSE_SECONDS: Final = 0.001
_LONGEST_PAUSE_SECONDS: Final = 0.1


async def run_transaction(session: Session, batch: Batch, clock: Clock) -> Sequence[Result]:
    """Do all operations at one moment, or none, until the deadline of the session."""
    keys = [*dict.fromkeys(entry_key(one) for one in keys_of(batch))]
    _check_number(len(keys))
    reads = [read(session.layout.entry(*at)) for at in keys]
    pause = _FIRST_PAUSE_SECONDS
    while True:
        answers = (await session.read_all(reads)).responses
        entries = {
            at: stored(answer.response_range.kvs, at[1])
            for at, answer in zip(keys, answers, strict=True)
        }
        now = clock()
        table = Snapshot.of(_alive(entries, now), now)
        results = run_batch(table, batch)
        if not table.steps:
            return results
        transaction = _Transaction(session, entries, now).of(table)
        if (await session.transact(transaction)).succeeded:
            return results
        session.check_late()
        await asyncio.sleep(random.uniform(0, pause))  # noqa: S311  (nothing secret)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


class _Transaction:
    """Makes the transaction that does all writes of a batch if nothing has changed."""

    def __init__(
        self, session: Session, entries: Mapping[EntryKey, Stored | None], now: float
    ) -> None:
        self._session = session
        self._layout = session.layout
        self._entries = entries
        self._now = now
        self._writing = Writing(self._layout, now, records=session.records)
        self._operations: list[Message] = []
        self._expiries = 0
        """How many slots have the expiries of old entries."""

    def of(self, table: Snapshot) -> Message:
        """Return the transaction."""
        self._check_size(table)
        for at, entry in table.written.items():
            self._replace(at, entry)
        for at, expires_at in table.touched.items():
            old = self._entries[at]
            assert old is not None
            self._replace(at, structs.replace(old.entry, expires_at=expires_at))
        self._operations += self._writing.record(self._expiries, self._changes(table))
        _check_number(len(self._operations) + (2 if self._expiries else 0))
        guards = [
            is_at(self._layout.entry(*at), 0 if old is None else old.revision)
            for at, old in self._entries.items()
        ]
        return txn(guards, self._operations)

    def _replace(self, at: EntryKey, entry: Entry | None) -> None:
        name, old = self._layout.entry(*at), self._entries[at]
        if entry is None:
            if old is None or not old.entry.is_alive(self._now):
                return  # an entry that has expired is left to the sweep
            self._operations.append(delete(name))
        else:
            self._operations += self._writing.entry(name, entry, entry.version)
        if old is None or old.entry.expires_at is None:
            return
        layout, before = self._layout, old.entry
        expiry = layout.expiry(layout.expiring, name, old.entry.expires_at)
        # The new entry may have the same expiry, whose version is another then.
        removes = [] if entry and entry.expires_at == before.expires_at else [delete(expiry)]
        if before.is_alive(self._now):
            self._operations += removes
            return
        change = gone_change(Event.EXPIRE, *at, before.version)
        record = self._writing.record(self._expiries, [change])
        self._operations.append(
            inside(txn([is_value(expiry, before.version.encode())], [*removes, *record]))
        )
        self._expiries += 1

    def _changes(self, table: Snapshot) -> list[Change]:
        """Return the changes of the batch, those of each key in order."""
        present = _alive(self._entries, self._now)
        changes: list[Change] = []
        for step in table.steps:
            for at, entry in step.written.items():
                old = present.pop(at, None)
                if entry is not None:
                    present[at] = entry
                    changes.append(set_change(at[0], entry, entry.version))
                elif old is not None:
                    changes.append(gone_change(Event.DELETE, *at, old.version))
            for at, expires_at in step.touched.items():
                entry = present[at] = structs.replace(present[at], expires_at=expires_at)
                changes.append(set_change(at[0], entry, entry.version, Event.TOUCH))
        return changes

    def _check_size(self, table: Snapshot) -> None:
        size = sum(len(entry.value) for _, entry in table.kept)
        most = self._session.value_bytes
        if size > most:
            raise ValueTooLarge(
                f"The values that an atomic batch writes have {size:,} bytes together; etcd "
                f"accepts at most {most:,}"
            )


def _check_number(operations: int) -> None:
    if operations > MOST_OPERATIONS:
        raise StorageUnsupported(
            f"This atomic batch needs {operations} operations in a transaction of etcd, which "
            f"allows {MOST_OPERATIONS}; expected a smaller batch: each key takes one, each write "
            "that expires takes another, and the log of changes takes one"
        )


def _alive(entries: Mapping[EntryKey, Stored | None], now: float) -> dict[EntryKey, Entry]:
    return {
        at: old.entry for at, old in entries.items() if old is not None and old.entry.is_alive(now)
    }
