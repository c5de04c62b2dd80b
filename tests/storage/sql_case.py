"""Share what every test of a storage on a database server needs: the server, and its own table."""

import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest

from servers.database import RunningDatabase
from workertown_kv.operations import Precondition, Set
from workertown_kv.storage import Clock
from workertown_kv.storage.sql.storage import SqlStorage


def table_of(folder: Path) -> str:
    """Return a table of its own for each folder."""
    return "t" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]


def put(
    key: str, value: bytes = b"1", precondition: Precondition | None = None, **more: Any
) -> Set:
    given = {"namespace": "default", **more}
    return Set(key=key, value=value, precondition=precondition, **given)


@pytest.mark.anyio
class SqlCase:
    """Gives each test a table. A module that extends it has a fixture `server`."""

    storage_type: ClassVar[Any]
    """The class of the storage."""

    server: RunningDatabase
    table: str

    @pytest.fixture(autouse=True)
    async def _server_and_table(
        self, server: RunningDatabase, tmp_path: Path
    ) -> AsyncIterator[None]:
        server.start()  # where a test has failed, it may be down
        self.server = server
        self.table = table_of(tmp_path)
        self._made: list[SqlStorage] = []
        yield
        for storage in self._made:
            await storage.close()

    def at(
        self, clock: Clock = time.time, *, url: str | None = None, **parameters: object
    ) -> SqlStorage:
        """Return a storage on the server, by default at the table of this test.

        It is closed when the test ends.
        """
        query = urlencode({"table": self.table, **parameters})
        storage: SqlStorage = self.storage_type(f"{url or self.server.url}?{query}", clock=clock)
        self._made.append(storage)
        return storage

    async def opened(self, clock: Clock = time.time, **parameters: Any) -> SqlStorage:
        """Yield the same storage, open."""
        storage = self.at(clock, **parameters)
        await storage.open()
        return storage
