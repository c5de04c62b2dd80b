"""Define the storage in etcd. The other modules of this folder do its work."""

import time
from collections.abc import Iterable, Sequence

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
from ..contract import Clock, Migration, Storage
from ..deletion import Step, delete_in_steps
from ..gathered_operations import Found, GatheredOperations
from ..gathered_operations import Write as AnyWrite
from ..listing import KeyRange
from ..tasks import in_task
from .batches import run_each
from .changes import read_changes
from .failures import late
from .listing import delete_some, list_keys
from .reads import get_each, get_one
from .session import Engine
from .stale import StaleExpiries
from .sweeping import Sweeper
from .transactions import run_transaction
from .url import parse_url
from .warning import warnings
from .writes import check_value, write_each, write_one


class EtcdStorage(Storage):
    """Keeps entries in the etcd cluster at `url`: `etcd://HOST:PORT,HOST:PORT/PREFIX`.

    `docs/storages/etcd.md` has the form and the parameters of the URL. A write is on the disks of
    a majority of the members when it is acknowledged.
    """

    needs_task = False

    def __init__(self, url: str, *, clock: Clock = time.time) -> None:
        super().__init__(clock=clock)
        settings = parse_url(url)
        self._engine = Engine(settings)
        self._stale = StaleExpiries()
        self._sweeper = Sweeper(compacts=settings.parameters.compact == "auto")
        self._gathered = self._gather()

    async def open(self) -> Sequence[Migration]:
        self._engine.records = self.retention is not None
        self._gathered = self._gather()
        await self._engine.open()
        return ()

    async def close(self) -> None:
        await self._gathered.close()
        await self._engine.close()

    def measurements(self) -> Iterable[Measurement]:
        return self._gathered.measurements()

    async def check(self) -> None:
        async with self._engine.session() as session:
            await session.check()

    async def probe(self) -> None:
        async with self._engine.session() as session:
            await session.check()
            await session.probe()

    async def warnings(self) -> Sequence[str]:
        async with self._engine.session() as session:
            return await warnings(session, self.clock)

    async def get(self, operation: Get) -> Entry | None:
        return await self._gathered.get(operation)

    async def set(self, operation: Set) -> str:
        check_value(operation, self._engine.value_bytes)
        return await self._gathered.set(operation)

    async def delete(self, operation: Delete) -> None:
        await self._gathered.delete(operation)

    async def touch(self, operation: Touch) -> str | None:
        return await self._gathered.touch(operation)

    async def list(self, operation: List) -> Page:
        return await in_task(list_keys(self._engine, operation, self.clock))

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        async def delete(keys: KeyRange, limit: int) -> Step:
            async with self._engine.session() as session:
                return await delete_some(session, operation, keys, limit, self.clock)

        return await delete_in_steps(operation, delete)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        if operation.atomic or operation.record is not None:
            async with self._engine.session() as session:
                return await run_transaction(session, operation, self.clock)
        return await run_each(self._engine, operation, self.clock, self._stale, self._attempt)

    async def changes(self, operation: ReadChanges) -> ChangePage:
        return await read_changes(self._engine, operation, self.clock, self.retention)

    async def sweep(self, limit: int) -> int:
        async with self._engine.session() as session:
            return await self._sweeper.sweep(
                session, self._stale, limit, self.clock(), self.retention
            )

    def _gather(self) -> GatheredOperations:
        return GatheredOperations(
            get=self._get,
            get_each=self._get_each,
            write=self._write,
            write_each=self._write_each,
            seconds=self._engine.seconds,
            late=late,
        )

    async def _get(self, operation: Get) -> Entry | None:
        async with self._engine.session() as session:
            return await get_one(session, operation, self.clock)

    async def _get_each(self, operations: Sequence[Get]) -> Sequence[Found]:
        async with self._engine.session() as session:
            return await get_each(session, operations, self.clock)

    async def _write(self, operation: AnyWrite) -> str | None:
        assert not isinstance(operation, Update)  # `update` sets, touches and deletes
        async with self._engine.session() as session:
            return await write_one(session, operation, self.clock, self._stale)

    async def _write_each(self, operations: Sequence[AnyWrite]) -> Sequence[Result]:
        writes = [one for one in operations if not isinstance(one, Update)]
        async with self._engine.session() as session:
            return await write_each(session, writes, self.clock, self._stale)
