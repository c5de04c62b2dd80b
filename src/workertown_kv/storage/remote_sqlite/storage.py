"""Keep entries in an SQLite on a server, with preconditions and atomic batches."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, Literal

from ...entry import Entry, KeyInfo
from ...errors import KvError, StorageUnavailable
from ...operations import (
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
)
from ..batch import ReadBudget, run_batch
from ..contract import SWEEP_MARGIN_SECONDS, Capability, Clock, Migration, Storage
from ..deletion import Step, delete_in_steps, up_to
from ..gathering import APART, Apart
from ..listing import KeyRange, list_page
from ..snapshot import EntryKey, Snapshot
from ..sql.dialects.sqlite import SqliteStatements
from ..sql.rows import checked_key, keys_of
from ..sql.writing import Statement
from ..version import new_version
from .acts import Acts, Overtaken, is_left_out, result_of, returning
from .batches import TRIES, atomic_batch, read
from .database import Changed, Database, Limits, Row
from .groups import groups
from .schema import migrate

MOST_READS: Final = 20
"""A listing ends its page after this many calls; a request to a Worker may make 50 calls of D1."""


class RemoteSqliteStorage(Storage):
    """Keeps entries in the table `entry` of a database. A subclass chooses the engine.

    The table is made, and brought up to date, when the storage is opened.
    """

    def __init__(
        self, database: Database, sql: SqliteStatements, limits: Limits, *, clock: Clock
    ) -> None:
        super().__init__(clock=clock)
        self._database = database
        self._sql = sql
        self._limits = limits
        self._acts = Acts(sql, limits)
        self._opened = False

    async def open(self) -> Sequence[Migration]:
        ran = await migrate(self._database, None, may_create=self.may_create)
        self._opened = True
        return ran

    async def close(self) -> None:
        self._opened = False

    async def migrate(self, *, to: int | None = None) -> Sequence[Migration]:
        return await migrate(self._open_database(), to)

    async def get(self, operation: Get) -> Entry | None:
        entry = await self._one(operation)
        return entry if isinstance(entry, Entry) else None

    async def set(self, operation: Set) -> str:
        version = await self._one(operation)
        assert isinstance(version, str)
        return version

    async def delete(self, operation: Delete) -> None:
        await self._one(operation)

    async def touch(self, operation: Touch) -> str | None:
        version = await self._one(operation)
        assert version is None or isinstance(version, str)
        return version

    async def list(self, operation: List) -> Page:
        now = self.clock()

        async def read(keys: KeyRange, wanted: int) -> tuple[Sequence[KeyInfo], KeyRange | None]:
            (rows,) = await self._run([self._sql.list(operation, keys, now, wanted)])
            found = keys_of(rows)
            if len(rows) < wanted:
                return found, None
            return found, keys.past(found[-1].key, is_reverse=operation.is_reverse)

        return await list_page(operation, read, most_reads=MOST_READS)

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        space = operation.namespace

        async def delete_some(keys: KeyRange, limit: int) -> Step:
            (rows,) = await self._run([self._sql.nth_key(space, keys, limit)])
            last = rows[0][0].decode() if rows else None
            some = keys if last is None else up_to(keys, last)
            deleting = returning(self._sql.delete_range(space, some, self.clock()))
            (gone,) = await self._run([deleting], writes=True)
            return len(gone), None if last is None else keys.past(last, is_reverse=False)

        return await delete_in_steps(operation, delete_some)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        now, database = self.clock(), self._open_database()
        if operation.atomic or operation.record is not None:
            if Capability.ATOMIC_BATCHES in self.lacks:
                raise self.unsupported(Capability.ATOMIC_BATCHES)
            return await atomic_batch(
                database, self._sql, self._limits, operation, self._acts.key_of, now
            )
        if all(isinstance(item, Get) for item in operation.operations):
            keys = [*dict.fromkeys(_entry_keys(operation.operations))]
            found = await read(database, self._sql, self._limits, keys, now, operation.read_bytes)
            snapshot = Snapshot(found, now, checked_key)
            if snapshot.is_whole:
                return run_batch(snapshot, operation)
        budget = ReadBudget(operation.read_bytes)
        results: list[Result] = []
        for some in groups(operation.operations, self._limits):
            if len(some) == 1:
                results.append(await self._attempt(some[0], budget))
            else:
                results += await self._group(some, budget)
        return results

    async def sweep(self, limit: int) -> int:
        before = self.clock() - SWEEP_MARGIN_SECONDS
        (rows,) = await self._run([returning(self._sql.sweep(before, limit))], writes=True)
        return len(rows)

    async def _one(self, operation: Operation) -> Result:
        """Run one operation. Returns its result, or raises its error."""
        version, most = new_version(), self._limits.value_bytes
        for _ in range(TRIES):
            statements = [*self._acts.statements(operation, version, self.clock(), most)]
            answers = await self._run(statements, writes=not isinstance(operation, Get))
            with suppress(Overtaken):
                return result_of(operation, answers, version, ReadBudget(most))
        raise Changed

    async def _group(self, operations: Sequence[Operation], budget: ReadBudget) -> Sequence[Result]:
        """Run a group of a batch."""
        most = self._limits.read_bytes // len(operations)
        try:
            outcomes = await self._several(operations, budget, most)
        except KvError as error:
            return [error.with_traceback(None)] * len(operations)
        return [
            await self._attempt(operation, budget) if outcome is APART else outcome
            for operation, outcome in zip(operations, outcomes, strict=True)
        ]

    async def _several(
        self, operations: Sequence[Operation], budget: ReadBudget, value_bytes: int
    ) -> Sequence[Result | Literal[Apart.APART]]:
        """Run operations in order, with one call. If it succeeds, each has its own result.

        The result is `APART` for a get whose value has more than `value_bytes`, and for a write
        that another write has overtaken.
        """
        now, most = self.clock(), min(value_bytes, budget.left)
        statements: list[Statement] = []
        firsts: list[int | KvError] = []
        versions = [new_version() for _ in operations]
        for operation, version in zip(operations, versions, strict=True):
            first = len(statements)
            try:
                statements += self._acts.statements(operation, version, now, most)
                firsts.append(first)
            except KvError as error:
                firsts.append(error.with_traceback(None))
        writes = not all(isinstance(operation, Get) for operation in operations)
        answers = await self._run(statements, writes=writes)
        results: list[Result | Literal[Apart.APART]] = []
        for operation, at, version in zip(operations, firsts, versions, strict=True):
            if isinstance(at, KvError):
                results.append(at)
            elif most < budget.left and is_left_out(operation, answers[at]):
                results.append(APART)
            else:
                try:
                    results.append(result_of(operation, answers[at:], version, budget))
                except Overtaken:
                    results.append(APART)
                except KvError as error:
                    results.append(error.with_traceback(None))
        return results

    async def _run(
        self, statements: Sequence[Statement], *, writes: bool = False
    ) -> Sequence[Sequence[Row]]:
        return await self._open_database().run(statements, writes=writes)

    def _open_database(self) -> Database:
        if not self._opened:
            raise StorageUnavailable("The storage is closed")
        return self._database


def _entry_keys(operations: Sequence[Operation]) -> Iterator[EntryKey]:
    """Return the entry keys, without keys that no row can have: their operations fail later."""
    for operation in operations:
        with suppress(KvError):
            yield checked_key(operation)
