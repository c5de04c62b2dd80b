"""Keep entries in D1, through its binding, with preconditions and atomic batches."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

from ....entry import Entry, KeyInfo
from ....errors import KvError, PreconditionFailed, StorageUnavailable, ValueTooLarge
from ....operations import (
    Batch,
    Delete,
    DeletePrefix,
    Deletion,
    Get,
    List,
    Operation,
    Page,
    Result,
    Set,
    Touch,
    Update,
)
from ...batch import ReadBudget, guarded, run_batch
from ...contract import SWEEP_MARGIN_SECONDS, Capability, Clock, Migration, Storage
from ...deletion import Step, delete_in_steps, up_to
from ...listing import KeyRange, list_page
from ...sql.dialects.sqlite import SqliteStatements
from ...sql.rows import EntryKey, entry_key, entry_of, keys_of
from ...sql.snapshot import Found, Snapshot
from ...sql.writing import Statement
from ...version import new_version
from .. import bridge
from .batches import KEYS_TOGETHER, atomic_batch, read
from .database import Database, Row
from .schema import migrate

VALUE_BYTES: Final = 1_995_000
"""D1 keeps rows of 2,000,000 bytes; the rest is for the key and the other columns."""

READ_BYTES: Final = 16 * 1024 * 1024
"""The most bytes of values in an answer of D1; values that do not fit are read a few at a time."""

TOGETHER: Final = 8
"""How many operations of a batch are sent together, with values of 2 MB at most."""

MOST_READS: Final = 20
"""A listing ends its page after this many calls of D1, of which a request may make 50."""

_SQL: Final = SqliteStatements()


class D1BindingStorage(Storage):
    """Keeps entries in the table `entry` of the D1 database of a binding.

    The table is made, and brought up to date, when the storage is opened.
    """

    lacks: ClassVar[Mapping[Capability, str]] = {
        Capability.CHANGES: "D1 charges for each row that is written, and would have to be polled.",
    }

    def __init__(self, binding: Any, *, clock: Clock = time.time) -> None:
        super().__init__(clock=clock)
        self._database = Database(bridge.unwrapped(binding))
        self._opened = False

    async def open(self) -> Sequence[Migration]:
        ran = await migrate(self._database, None)
        self._opened = True
        return ran

    async def close(self) -> None:
        self._opened = False

    async def migrate(self, *, to: int | None = None) -> Sequence[Migration]:
        return await migrate(self._open_database(), to)

    async def get(self, operation: Get) -> Entry | None:
        (rows,) = await self._run([_SQL.get_up_to(operation, self.clock(), VALUE_BYTES)])
        entry = entry_of(operation.key, rows[0]) if rows else None
        return entry if isinstance(entry, Entry) else None

    async def set(self, operation: Set) -> str:
        version = new_version()
        (written,) = await self._run([_set(operation, version, self.clock())])
        if not written:
            raise PreconditionFailed
        return version

    async def delete(self, operation: Delete) -> None:
        found, *_ = await self._run([*_deletion(operation, self.clock())])
        _check_found(operation, found)

    async def touch(self, operation: Touch) -> str | None:
        found, _ = await self._run([*_touching(operation, self.clock())])
        return _check_found(operation, found)

    async def list(self, operation: List) -> Page:
        now = self.clock()

        async def read(keys: KeyRange, wanted: int) -> tuple[Sequence[KeyInfo], KeyRange | None]:
            (rows,) = await self._run([_SQL.list(operation, keys, now, wanted)])
            found = keys_of(rows)
            if len(rows) < wanted:
                return found, None
            return found, keys.past(found[-1].key, is_reverse=operation.is_reverse)

        return await list_page(operation, read, most_reads=MOST_READS)

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        space = operation.namespace

        async def delete_some(keys: KeyRange, limit: int) -> Step:
            (rows,) = await self._run([_SQL.nth_key(space, keys, limit)])
            last = rows[0][0].decode() if rows else None
            some = keys if last is None else up_to(keys, last)
            (gone,) = await self._run([_counted(_SQL.delete_range(space, some, self.clock()))])
            return len(gone), None if last is None else keys.past(last, is_reverse=False)

        return await delete_in_steps(operation, delete_some)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        now = self.clock()
        if operation.atomic or operation.record is not None:
            return await atomic_batch(self._open_database(), _SQL, operation, _entry_key, now)
        if all(isinstance(item, Get) for item in operation.operations):
            keys = [*dict.fromkeys(_entry_keys(operation.operations))]
            most = min(READ_BYTES, operation.read_bytes) // (1 + len(keys) // KEYS_TOGETHER)
            snapshot = Snapshot(await read(self._open_database(), _SQL, keys, now, most), now)
            if snapshot.is_whole:
                return run_batch(snapshot, operation)
        budget = ReadBudget(operation.read_bytes)
        results: list[Result] = []
        for start in range(0, len(operation.operations), TOGETHER):
            some = operation.operations[start : start + TOGETHER]
            if any(isinstance(item, Update) for item in some):
                # Each of these needs several calls of D1.
                results += [await self._attempt(item, budget) for item in some]
            else:
                results += await self._several(some, budget)
        return results

    async def sweep(self, limit: int) -> int:
        before = self.clock() - SWEEP_MARGIN_SECONDS
        (rows,) = await self._run([_counted(_SQL.sweep(before, limit))])
        return len(rows)

    async def _several(
        self, operations: Sequence[Operation], budget: ReadBudget
    ) -> Sequence[Result]:
        """Run operations in order, with one call of D1. Each succeeds or fails by itself."""
        now = self.clock()
        statements: list[Statement] = []
        firsts: list[int | KvError] = []
        versions = [new_version() for _ in operations]
        for operation, version in zip(operations, versions, strict=True):
            first = len(statements)
            try:
                statements += _statements(operation, version, now, min(VALUE_BYTES, budget.left))
                firsts.append(first)
            except KvError as error:
                firsts.append(error.with_traceback(None))
        try:
            answers = await self._run(statements)
        except KvError as error:
            failed = error.with_traceback(None)
            return [first if isinstance(first, KvError) else failed for first in firsts]
        results: list[Result] = []
        for operation, at, version in zip(operations, firsts, versions, strict=True):
            if isinstance(at, KvError):
                results.append(at)
                continue
            try:
                results.append(_result(operation, answers[at], version, budget))
            except KvError as error:
                results.append(error.with_traceback(None))
        return results

    async def _run(self, statements: Sequence[Statement]) -> Sequence[Sequence[Row]]:
        return await self._open_database().run(statements)

    def _open_database(self) -> Database:
        if not self._opened:
            raise StorageUnavailable("The storage is closed")
        return self._database


def _entry_key(operation: Operation) -> EntryKey:
    """Return the entry key of an operation. Raises `InputError` if D1 cannot keep the entry."""
    if isinstance(operation, Set) and len(operation.value) > VALUE_BYTES:
        raise ValueTooLarge(
            f"The value has {len(operation.value):,} bytes; D1 keeps {VALUE_BYTES:,}"
        )
    return entry_key(operation)


def _entry_keys(operations: Sequence[Operation]) -> Iterator[EntryKey]:
    """Return the entry keys, without keys that no row can have: their operations fail later."""
    for operation in operations:
        with suppress(KvError):
            yield entry_key(operation)


def _statements(
    operation: Operation, version: str, now: float, value_bytes: int
) -> Iterator[Statement]:
    match operation:
        case Get():
            yield _SQL.get_up_to(operation, now, value_bytes)
        case Set():
            yield _set(operation, version, now)
        case Delete():
            yield from _deletion(operation, now)
        case Touch():
            yield from _touching(operation, now)


def _set(operation: Set, version: str, now: float) -> Statement:
    _entry_key(operation)
    return _counted(_SQL.set(operation, version, now))


def _deletion(operation: Delete, now: float) -> Iterator[Statement]:
    """Read the entry if there is a precondition, and remove it if the precondition holds."""
    if operation.precondition is not None:
        yield _SQL.get_up_to(operation, now, -1)
    yield _SQL.delete(operation, now)


def _touching(operation: Touch, now: float) -> Iterator[Statement]:
    """Read the entry, and change its lifetime if the precondition holds."""
    yield _SQL.get_up_to(operation, now, -1)
    yield _SQL.touch(operation, now)


def _counted(statement: Statement) -> Statement:
    """Return the statement such that it returns a row for each row that it writes."""
    text, values = statement
    return f"{text} RETURNING 1", values


def _check_found(operation: Delete | Touch, rows: Sequence[Row]) -> str | None:
    """Return the version of the entry. Raises `PreconditionFailed`."""
    condition = operation.precondition
    found = Found(rows[0][0].decode(), rows[0][1], False) if rows else None
    if condition and not condition.allows(found):
        raise PreconditionFailed
    return None if found is None else found.version


def _result(operation: Operation, rows: Sequence[Row], version: str, budget: ReadBudget) -> Result:
    match operation:
        case Get(key=key):
            return guarded(operation, budget.spend(entry_of(key, rows[0]) if rows else None))
        case Set():
            if not rows:
                raise PreconditionFailed
            return version
        case Delete():
            _check_found(operation, rows)
            return None
        case Touch():
            return _check_found(operation, rows)
    raise AssertionError(operation)
