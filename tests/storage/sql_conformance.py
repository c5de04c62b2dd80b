"""Run the conformance suite on a database server, where new tables and connections cost most."""

import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from servers.database import RunningDatabase
from storage.sql_case import table_of
from workertown_kv.errors import StorageUnavailable
from workertown_kv.storage import Clock, Storage
from workertown_kv.storage.sql.storage import SqlStorage
from workertown_kv.testing import MovedClock, StorageConformance


class SqlConformance(StorageConformance):
    """Empties one table between the cases. A module that extends it has a fixture `server`."""

    examples = 16

    storage_type: ClassVar[Any]
    """The class of the storage."""

    server: RunningDatabase

    @pytest.fixture(autouse=True)
    def _running(self, server: RunningDatabase) -> None:
        self.server = server

    def make(self, clock: Clock, folder: Path) -> Storage:
        return self._at(self.server, table_of(folder), clock)

    @classmethod
    def _at(cls, server: RunningDatabase, table: str, clock: Clock) -> SqlStorage:
        storage: SqlStorage = cls.storage_type(f"{server.url}?table={table}", clock=clock)
        return storage

    # Everything that is kept from one case to the next has its event loop and its clock.

    @pytest.fixture(scope="class")
    @classmethod
    def anyio_backend(cls) -> str:
        return "asyncio"

    @pytest.fixture(scope="class")
    @classmethod
    def clock(cls) -> MovedClock:
        return MovedClock()

    @pytest.fixture(scope="class")
    @classmethod
    async def shared(
        cls, server: RunningDatabase, clock: MovedClock, anyio_backend: str
    ) -> AsyncIterator[SqlStorage]:
        storage = cls._at(server, "shared", clock)
        await storage.open()
        yield storage
        await storage.close()

    @pytest.fixture
    async def storage(
        self, shared: SqlStorage, clock: MovedClock, request: pytest.FixtureRequest
    ) -> AsyncIterator[Storage]:
        if "tmp_path" in inspect.signature(request.function).parameters:
            # The case opens other storages with the same entries: those of its folder.
            own = self.make(clock, request.getfixturevalue("tmp_path"))
            await own.open()
            yield own
            await own.close()
            return
        await self._empty(shared)
        yield shared

    async def _empty(self, storage: SqlStorage) -> None:
        try:
            pool = storage._database.opened()
        except StorageUnavailable:  # the last case has closed it
            await storage.open()
            pool = storage._database.opened()
        async with pool.session() as session:
            await session.run("DELETE FROM shared")
