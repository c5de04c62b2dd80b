"""D1 by its binding: SQLite as a service, with preconditions and atomic batches."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from ....entry import Entry
from ....errors import KvError, PreconditionFailed, StorageUnavailable
from ....operations import Batch, Delete, Get, List, Operation, Page, Result, Set
from ...batch import ReadBudget, guarded, run_batch
from ...contract import SWEEP_MARGIN_SECONDS, Clock, Migration, Storage
from ...snapshot import Snapshot
from ...version import new_version
from .. import bridge
from . import statements
from .batches import KEYS_TOGETHER, atomic_batch, read
from .database import Database
from .rows import VALUE_BYTES, Place, Statement, entry_of, key_info, place
from .schema import migrate

READ_BYTES: Final = 16 * 1024 * 1024
"""Of values in one answer of D1; where they do not fit, a few are asked for at a time."""

TOGETHER: Final = 8
"""How many operations of a batch are sent together, with values of 2 MB at most."""


class D1BindingStorage(Storage):
    """Entries in the table `entry` of the D1 database of a binding.

    The table is made, and brought up to date, when the storage is opened.
    """

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
        (rows,) = await self._run([statements.get(operation, self.clock())])
        entry = entry_of(rows[0]) if rows else None
        return entry if isinstance(entry, Entry) else None

    async def set(self, operation: Set) -> str:
        version = new_version()
        (written,) = await self._run([statements.set(operation, version, self.clock())])
        if not written:
            raise PreconditionFailed
        return version

    async def delete(self, operation: Delete) -> None:
        holds, *_ = await self._run(statements.delete(operation, self.clock()))
        if operation.precondition is not None and not holds:
            raise PreconditionFailed

    async def list(self, operation: List) -> Page:
        (rows,) = await self._run([statements.list(operation, self.clock())])
        keys = [key_info(row) for row in rows[: operation.limit]]
        return Page(keys, keys[-1].key if len(rows) > operation.limit else None)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        if operation.atomic:
            return await atomic_batch(self._open_database(), operation, self.clock())
        if all(isinstance(one, Get) for one in operation.operations):
            now = self.clock()
            places = [*dict.fromkeys(_places(operation.operations))]
            most = min(READ_BYTES, operation.read_bytes) // (1 + len(places) // KEYS_TOGETHER)
            found = await read(self._open_database(), places, now, most)
            table = Snapshot(found, place, now)
            if table.is_whole:
                return run_batch(table, operation)
        budget = ReadBudget(operation.read_bytes)
        results: list[Result] = []
        for start in range(0, len(operation.operations), TOGETHER):
            some = operation.operations[start : start + TOGETHER]
            results += await self._several(some, budget)
        return results

    async def sweep(self, limit: int) -> int:
        (rows,) = await self._run([statements.sweep(self.clock() - SWEEP_MARGIN_SECONDS, limit)])
        return len(rows)

    async def _several(
        self, operations: Sequence[Operation], budget: ReadBudget
    ) -> Sequence[Result]:
        """Do these in order, with one question to D1; each stands for itself."""
        now = self.clock()
        asked: list[Statement] = []
        firsts: list[int | KvError] = []
        versions = [new_version() for _ in operations]
        for operation, version in zip(operations, versions, strict=True):
            first = len(asked)
            try:
                asked += _statements(operation, version, now, min(VALUE_BYTES, budget.left))
                firsts.append(first)
            except KvError as error:
                firsts.append(error.with_traceback(None))
        try:
            answers = await self._run(asked)
        except KvError as error:
            failed = error.with_traceback(None)
            return [one if isinstance(one, KvError) else failed for one in firsts]
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

    async def _run(self, asked: Sequence[Statement]) -> Sequence[Sequence[Any]]:
        return await self._open_database().run(asked)

    def _open_database(self) -> Database:
        if not self._opened:
            raise StorageUnavailable("The storage is closed")
        return self._database


def _places(operations: Sequence[Operation]) -> Iterator[Place]:
    """Where these are; those that can be nowhere fail when they are done."""
    for operation in operations:
        with suppress(KvError):
            yield place(operation)


def _statements(
    operation: Operation, version: str, now: float, value_bytes: int
) -> Iterator[Statement]:
    match operation:
        case Get():
            yield statements.get(operation, now, value_bytes)
        case Set():
            yield statements.set(operation, version, now)
        case Delete():
            yield from statements.delete(operation, now)


def _result(operation: Operation, rows: Sequence[Any], version: str, budget: ReadBudget) -> Result:
    match operation:
        case Get():
            return guarded(operation, budget.spend(entry_of(rows[0]) if rows else None))
        case Set():
            if not rows:
                raise PreconditionFailed
            return version
        case Delete():
            if operation.precondition is not None and not rows:
                raise PreconditionFailed
            return None
