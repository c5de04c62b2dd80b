"""The storage in the keys of a Redis. The other modules of this folder do its work."""

import time
from collections.abc import Sequence

from ...entry import Entry
from ...operations import Batch, Delete, Get, List, Page, Result, Set
from ..contract import SWEEP_MARGIN_SECONDS, Clock, Migration, Storage
from .batches import run_batch, run_one
from .call import Call
from .engine import Engine
from .fields import FIELDS, entry_of
from .listing import list_page
from .probing import probe, warnings
from .sweeping import sweep


class KeyspaceStorage(Storage):
    """Entries in the Redis that an engine reaches."""

    def __init__(self, engine: Engine, *, clock: Clock = time.time) -> None:
        super().__init__(clock=clock)
        self._engine = engine

    async def open(self) -> Sequence[Migration]:
        await self._engine.open()
        return ()

    async def close(self) -> None:
        await self._engine.close()

    async def check(self) -> None:
        await self._engine.check()

    async def probe(self) -> None:
        async with self._engine.session() as session:
            await probe(session, self.clock())

    async def warnings(self) -> Sequence[str]:
        async with self._engine.session() as session:
            return await warnings(session, self.clock)

    async def get(self, operation: Get) -> Entry | None:
        async with self._engine.session() as session:
            layout = session.layout
            bucket = layout.bucket(operation.key)
            name = layout.entry(bucket, operation.namespace, operation.key)
            fields = await session.one(Call(layout.slot(bucket), ("HMGET", name, *FIELDS)))
            return entry_of(operation.key, fields, self.clock())

    async def set(self, operation: Set) -> str:
        async with self._engine.session() as session:
            return await run_one(session, operation, self.clock)

    async def delete(self, operation: Delete) -> None:
        async with self._engine.session() as session:
            await run_one(session, operation, self.clock)

    async def list(self, operation: List) -> Page:
        async with self._engine.session() as session:
            return await list_page(session, operation, self.clock)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        async with self._engine.session() as session:
            return await run_batch(session, operation, self.clock)

    async def sweep(self, limit: int) -> int:
        async with self._engine.session() as session:
            return await sweep(session, limit, self.clock() - SWEEP_MARGIN_SECONDS)
