"""A storage in the keys of a Redis. What it does is in the other modules."""

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
        async with self._engine.use() as use:
            await probe(use, self.clock())

    async def warnings(self) -> Sequence[str]:
        async with self._engine.use() as use:
            return await warnings(use, self.clock)

    async def get(self, operation: Get) -> Entry | None:
        async with self._engine.use() as use:
            layout = use.layout
            bucket = layout.bucket(operation.key)
            name = layout.entry(bucket, operation.namespace, operation.key)
            fields = await use.one(Call(layout.slot(bucket), ("HMGET", name, *FIELDS)))
            return entry_of(operation.key, fields, self.clock())

    async def set(self, operation: Set) -> str:
        async with self._engine.use() as use:
            return await run_one(use, operation, self.clock)

    async def delete(self, operation: Delete) -> None:
        async with self._engine.use() as use:
            await run_one(use, operation, self.clock)

    async def list(self, operation: List) -> Page:
        async with self._engine.use() as use:
            return await list_page(use, operation, self.clock)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        async with self._engine.use() as use:
            return await run_batch(use, operation, self.clock)

    async def sweep(self, limit: int) -> int:
        async with self._engine.use() as use:
            return await sweep(use, limit, self.clock() - SWEEP_MARGIN_SECONDS)
