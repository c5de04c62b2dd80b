"""Share an open storage between tests: on a database server, new connections cost most."""

import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from depth import IS_DEEP
from servers.database import RunningDatabase
from storage.sql_case import table_of
from workertown_kv.errors import StorageUnavailable
from workertown_kv.storage import Clock, Storage
from workertown_kv.storage.sql.storage import SqlStorage
from workertown_kv.testing import MovedClock, StorageConformance


class SharedSql:
    """Keeps a storage for the tests of a class. Their module has a fixture `server`."""

    storage_type: ClassVar[Any]
    """The class of the storage."""

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
    async def kept(
        cls, server: RunningDatabase, clock: MovedClock, anyio_backend: str
    ) -> AsyncIterator[SqlStorage]:
        table = f"shared_by_{cls.__name__.lower()}"
        url = f"{server.url}?table={table}&timeout=60"
        storage: SqlStorage = cls.storage_type(url, clock=clock)
        await storage.open()
        yield storage
        await storage.close()

    @pytest.fixture
    async def shared(self, kept: SqlStorage) -> SqlStorage:
        """Return the storage of the class, without entries."""
        try:
            pool = kept._database.opened()
        except StorageUnavailable:  # the last case has closed it
            await kept.open()
            pool = kept._database.opened()
        async with pool.session() as session:
            await session.run(f"DELETE FROM {kept._statements.table}")
        return kept


class SqlConformance(SharedSql, StorageConformance):
    """Runs the conformance suite on a database server."""

    examples = 16 if IS_DEEP else 8

    server: RunningDatabase

    @pytest.fixture(autouse=True)
    def _running(self, server: RunningDatabase) -> None:
        self.server = server

    def make(self, clock: Clock, folder: Path) -> Storage:
        storage: Storage = self.storage_type(
            f"{self.server.url}?table={table_of(folder)}", clock=clock
        )
        return storage

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
        yield shared
