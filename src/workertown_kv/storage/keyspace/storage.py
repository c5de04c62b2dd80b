"""Define the storage in the keys of a Redis. The other modules of this folder do its work."""

import time
from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby

from ...entry import Entry
from ...meters.metric import Measurement
from ...operations import (
    Batch,
    ChangePage,
    Delete,
    DeletePrefix,
    Deletion,
    Get,
    List,
    Page,
    ReadChanges,
    Result,
    Set,
    Touch,
    Update,
)
from ..batch import ReadBudget
from ..contract import Clock, Migration, Storage
from ..deletion import Step, delete_in_steps
from ..gathered_operations import Found, GatheredMeter, GatheredOperations, Write
from ..listing import KeyRange
from ..tasks import in_task
from .batches import run_batch, run_one, write_each
from .changes import read_changes
from .deletion import delete_some
from .engine import Engine
from .gets import get_each, get_one
from .listing import list_keys
from .migrating import migrate
from .probing import probe, warnings
from .sweeping import Sweeper
from .transactions import run_transaction


class KeyspaceStorage(Storage):
    """Entries in the Redis that an engine reaches."""

    needs_task = False

    def __init__(self, engine: Engine, *, clock: Clock = time.time) -> None:
        super().__init__(clock=clock)
        self._engine = engine
        self._gathered: dict[Hashable, GatheredOperations] = {}
        self._sweeper = Sweeper()
        self._meter = GatheredMeter()

    async def open(self) -> Sequence[Migration]:
        self._gathered = {}
        retention = self.retention
        # A reader that has read all but the newest changes needs the item before them as well.
        self._engine.kept = 0 if retention is None else retention.entries + 1
        self._engine.may_create = self.may_create
        await self._engine.open()
        return ()

    async def close(self) -> None:
        for gathered in list(self._gathered.values()):
            await gathered.close()
        await self._engine.close()

    async def check(self) -> None:
        await self._engine.check()

    async def probe(self) -> None:
        async with self._engine.session() as session:
            await probe(session, self.clock())

    async def warnings(self) -> Sequence[str]:
        async with self._engine.session() as session:
            return await warnings(session, self.clock)

    def measurements(self) -> Iterator[Measurement]:
        yield from self._meter.measurements(self._gathered.values())
        yield from self._engine.measurements()

    async def migrate(self, *, to: int | None = None) -> Sequence[Migration]:
        async with self._engine.session(refresh_layout=True) as session:
            ran = await migrate(session, to)
        await self._engine.check()
        return ran

    async def get(self, operation: Get) -> Entry | None:
        return await self._of_server(operation.key).get(operation)

    async def set(self, operation: Set) -> str:
        return await self._of_server(operation.key).set(operation)

    async def delete(self, operation: Delete) -> None:
        await self._of_server(operation.key).delete(operation)

    async def touch(self, operation: Touch) -> str | None:
        return await self._of_server(operation.key).touch(operation)

    async def list(self, operation: List) -> Page:
        return await in_task(self._list(operation))

    async def _list(self, operation: List) -> Page:
        async with self._engine.session() as session:
            return await list_keys(session, operation, self.clock)

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        async def delete(keys: KeyRange, limit: int) -> Step:
            async with self._engine.session() as session:
                return await delete_some(session, operation, keys, limit, self.clock)

        return await delete_in_steps(operation, delete)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        if operation.record is not None or any(
            isinstance(item, Update) for item in operation.operations
        ):
            return await self._decided_batch(operation)
        async with self._engine.session() as session:
            return await run_batch(session, operation, self.clock)

    async def _decided_batch(self, batch: Batch) -> Sequence[Result]:
        if batch.atomic or batch.record is not None:
            async with self._engine.session() as session:
                return await run_transaction(session, batch, self.clock)
        budget = ReadBudget(batch.read_bytes)
        results: list[Result] = []
        for is_update, some in groupby(batch.operations, lambda item: isinstance(item, Update)):
            if is_update:
                results += [await self._attempt(item, budget) for item in some]
                continue
            async with self._engine.session() as session:
                part = Batch([*some], read_bytes=budget.left)
                found = await run_batch(session, part, self.clock)
            budget.left -= sum(len(one.value) for one in found if isinstance(one, Entry))
            results += found
        return results

    async def changes(self, operation: ReadChanges) -> ChangePage:
        return await read_changes(self._engine, operation, self.clock)

    def key_beside(self, key: str, name: str) -> str:
        return self._engine.key_beside(key, name)

    async def sweep(self, limit: int) -> int:
        async with self._engine.session() as session:
            return await self._sweeper.sweep(session, limit, self.clock(), self.retention)

    def _of_server(self, key: str) -> GatheredOperations:
        """Return the operations of the server that has a key: one that hangs delays no other."""
        server = self._engine.server(key)
        gathered = self._gathered.get(server)
        if gathered is None:
            gathered = self._gathered[server] = GatheredOperations(
                get=self._get,
                get_each=self._get_each,
                write=self._write,
                write_each=self._write_each,
                seconds=self._engine.seconds,
                late=self._engine.late,
                meter=self._meter,
            )
        return gathered

    async def _get(self, operation: Get) -> Entry | None:
        async with self._engine.session() as session:
            return await get_one(session, operation, self.clock)

    async def _get_each(self, operations: Sequence[Get]) -> Sequence[Found]:
        async with self._engine.session() as session:
            return await get_each(session, operations, self.clock)

    async def _write(self, operation: Write) -> str | None:
        async with self._engine.session() as session:
            return await run_one(session, operation, self.clock)

    async def _write_each(self, operations: Sequence[Write]) -> Sequence[Result]:
        async with self._engine.session() as session:
            return await write_each(session, operations, self.clock)
