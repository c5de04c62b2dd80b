"""Run the operations of a storage on a database server, in few round trips."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeVar

from ...entry import Entry, KeyInfo
from ...errors import KvError, StorageUnavailable
from ...meters.metric import Measurement
from ...operations import (
    Batch,
    ChangePage,
    Delete,
    DeletePrefix,
    Deletion,
    Get,
    List,
    Operation,
    Page,
    ReadChanges,
    Result,
    Set,
    Touch,
    Update,
    Updated,
)
from ..batch import ReadBudget, guarded, not_tried, run_batch
from ..clock_skew import skew_warnings
from ..contract import (
    SWEEP_MARGIN_SECONDS,
    Capability,
    Clock,
    Figures,
    Migration,
    Retention,
    Storage,
)
from ..deletion import Step, delete_in_steps, up_to
from ..gathered_operations import GatheredOperations
from ..listing import KeyRange, list_page
from ..snapshot import Snapshot
from ..tasks import in_task
from .acts import Acts
from .batches import batch_in_transaction, read_entries
from .changes.feed import ChangeFeed, ChangeReader
from .database import Database
from .groups import get_each, write_each
from .pool import Pool
from .rows import checked_key, figures_of, keys_of
from .server_statements import ServerStatements
from .session import Session, Undone

STEP_ROWS: Final = 2000
"""How many rows a statement of a listing reads if many have expired."""

MOST_READS: Final = 50
"""A listing ends its page after this many statements, if the page has a key or a folder."""

_T = TypeVar("_T")


class SqlStorage(Storage):
    """Keeps entries in a table of a database server. A subclass chooses the engine."""

    needs_task = False

    def __init__(
        self,
        database: Database,
        statements: ServerStatements,
        changes: Callable[[ServerStatements], ChangeReader],
        *,
        clock: Clock,
    ) -> None:
        super().__init__(clock=clock)
        self._database = database
        self._statements = statements
        self._acts = Acts(statements, clock)
        self._feed = ChangeFeed(changes(statements), statements, database.schema, clock)
        self._gathered = self._gather()

    async def open(self) -> Sequence[Migration]:
        self._gathered = self._gather()
        self._database.records = self.retention is not None
        self._database.may_create = self.may_create
        return await self._database.open()

    async def close(self) -> None:
        await self._gathered.close()
        await self._database.close()

    async def migrate(self, *, to: int | None = None) -> Sequence[Migration]:
        return await self._database.migrate(to)

    async def probe(self) -> None:
        await self._do(self._probe, writes=False)

    async def warnings(self) -> Sequence[str]:
        return await self._do(self._warnings, writes=False)

    async def figures(self) -> Sequence[Figures]:
        return await self._do(self._figures, writes=False)

    def measurements(self) -> Iterator[Measurement]:
        yield from self._gathered.measurements()
        yield from self._database.measurements()

    async def get(self, operation: Get) -> Entry | None:
        checked_key(operation)  # so that a key that no row can have fails no other operation
        return await self._gathered.get(operation)

    async def set(self, operation: Set) -> str:
        checked_key(operation)
        return await self._gathered.set(operation)

    async def delete(self, operation: Delete) -> None:
        checked_key(operation)
        await self._gathered.delete(operation)

    async def touch(self, operation: Touch) -> str | None:
        checked_key(operation)
        return await self._gathered.touch(operation)

    async def update(self, operation: Update) -> Updated:
        checked_key(operation)
        return await self._gathered.update(operation)

    async def list(self, operation: List) -> Page:
        return await in_task(self._do(lambda session: self._list(session, operation), writes=False))

    async def changes(self, operation: ReadChanges) -> ChangePage:
        if self.retention is None:
            raise self.unsupported(Capability.CHANGES)
        return await in_task(self._feed.read(operation, lambda act: self._do(act, writes=False)))

    async def sweep(self, limit: int) -> int:
        swept = await self._do(lambda session: self._sweep(session, limit), writes=True)
        retention = self.retention or Retention()
        await self._do(lambda session: self._feed.remove_old(session, retention), writes=True)
        return swept

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        async def delete_some(keys: KeyRange, limit: int) -> Step:
            return await self._do(
                lambda session: self._delete_some(session, operation, keys, limit), writes=True
            )

        return await delete_in_steps(operation, delete_some)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        pool = self._database.opened()
        with pool.job():
            recorded = operation.record is not None
            if not recorded and all(isinstance(item, Get) for item in operation.operations):
                return await self._read(pool, operation)
            if operation.atomic or recorded:
                return await self._database.ask(
                    pool,
                    lambda session: batch_in_transaction(
                        session, self._statements, operation, self.clock()
                    ),
                    writes=True,
                )
            return await self._one_by_one(pool, operation)

    def _gather(self) -> GatheredOperations:
        return GatheredOperations(
            get=lambda one: self._do(lambda session: self._acts.get(session, one), writes=False),
            get_each=lambda some: self._do(
                lambda session: get_each(session, self._statements, some, self.clock()),
                writes=False,
            ),
            write=lambda one: self._do(lambda session: self._acts.write(session, one), writes=True),
            write_each=lambda some: self._do(
                lambda session: write_each(session, self._statements, some, self.clock()),
                writes=True,
            ),
            seconds=self._database.timeout,
            late=self._database.late,
        )

    async def _do(self, act: Callable[[Session], Awaitable[_T]], *, writes: bool) -> _T:
        pool = self._database.opened()
        with pool.job():
            return await self._database.ask(pool, act, writes=writes)

    async def _read(self, pool: Pool, batch: Batch) -> Sequence[Result]:
        keys = list({checked_key(item): None for item in batch.operations})
        now = self.clock()
        found = await self._database.ask(
            pool,
            lambda session: read_entries(session, self._statements, keys, now, batch.read_bytes),
            writes=False,
        )
        snapshot = Snapshot(found, now)
        if batch.atomic or snapshot.is_whole:
            return run_batch(snapshot, batch)
        # The budget does not allow all values, but may allow some that were left out.
        return await self._one_by_one(pool, batch)

    async def _one_by_one(self, pool: Pool, batch: Batch) -> Sequence[Result]:
        budget = ReadBudget(batch.read_bytes)
        results: list[Result] = []
        down: StorageUnavailable | None = None
        for operation in batch.operations:
            if down is not None:
                # Waiting for the deadline of each operation would take long.
                results.append(down)
                continue
            try:
                results.append(await self._single(pool, operation, budget))
            except KvError as error:
                if isinstance(error, StorageUnavailable):
                    (down,) = not_tried(1)
                # The traceback would keep in memory the values that were read.
                results.append(error.with_traceback(None))
        return results

    async def _single(self, pool: Pool, operation: Operation, budget: ReadBudget) -> Result:
        left = budget.left
        if isinstance(operation, Get):
            statement = self._statements.get_up_to(operation, self.clock(), left)
            rows = await self._database.ask(
                pool, lambda session: session.fetch(statement), writes=False
            )
            entry = self._statements.entry_of(operation.key, rows[0]) if rows else None
            return guarded(operation, budget.spend(entry))
        write = budget.spending(operation) if isinstance(operation, Update) else operation
        return await self._database.ask(
            pool, lambda session: self._acts.write(session, write, left), writes=True
        )

    async def _probe(self, session: Session) -> None:
        for statement in self._statements.probe():
            await session.execute(statement)

    async def _warnings(self, session: Session) -> Sequence[str]:
        engine = self._database.engine
        before = self.clock()
        ((now,),) = await session.fetch(self._statements.now)
        found = list(skew_warnings(engine, float(now), before, self.clock()))
        for name, value in await session.fetch(self._statements.careless):
            found.append(
                f"A crash of {engine} loses writes that were acknowledged, since {name} is {value} "
                "there"
            )
        return found

    async def _figures(self, session: Session) -> Sequence[Figures]:
        return figures_of(await session.fetch(self._statements.figures(self.clock())))

    async def _delete_some(
        self, session: Session, operation: DeletePrefix, keys: KeyRange, limit: int
    ) -> Step:
        space = operation.namespace
        rows = await session.fetch(self._statements.nth_key(space, keys, limit))
        last = rows[0][0].decode() if rows else None
        some = keys if last is None else up_to(keys, last)
        deleted = await session.execute(self._statements.delete_range(space, some, self.clock()))
        return deleted, None if last is None else keys.past(last, is_reverse=False)

    async def _sweep(self, session: Session, limit: int) -> int:
        before = self.clock() - SWEEP_MARGIN_SECONDS
        claim = self._statements.sweep_claim
        if claim is None:
            return await self._swept(session, before, limit)
        if not await session.fetch(self._statements.is_due(before)):
            return 0
        ((claimed,),) = await session.fetch(claim)
        if claimed != 1:
            return 0
        try:
            swept = await self._swept(session, before, limit)
            await session.fetch(self._statements.sweep_release)
        except KvError:
            session.terminate()  # which also ends the claim
            raise
        return swept

    async def _swept(self, session: Session, before: float, limit: int) -> int:
        try:
            return await session.execute(self._statements.sweep(before, limit))
        except Undone:
            # A writer, or the sweep on another server of a cluster, changed the same rows.
            return 0

    async def _list(self, session: Session, operation: List) -> Page:
        now = self.clock()
        more = 0

        async def read(keys: KeyRange, wanted: int) -> tuple[Sequence[KeyInfo], KeyRange | None]:
            nonlocal more
            asked = max(wanted, more)
            rows = await session.fetch(self._statements.list(operation, keys, now, asked))
            found = keys_of(rows)
            alive = [info for info in found if info.is_alive(now)]
            more = 0 if len(alive) >= wanted else STEP_ROWS
            if len(rows) < asked:
                return alive, None
            return alive, keys.past(found[-1].key, is_reverse=operation.is_reverse)

        return await list_page(operation, read, most_reads=MOST_READS)
