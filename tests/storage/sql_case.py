"""What every test of a storage on a database server has: the server, and a table of its own."""

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
    """A table of its own for each folder."""
    return "t" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]


def put(
    key: str, value: bytes = b"1", precondition: Precondition | None = None, **more: Any
) -> Set:
    given = {"namespace": "default", **more}
    return Set(key=key, value=value, precondition=precondition, **given)


@pytest.mark.anyio
class SqlCase:
    """A module that extends it has a fixture `server`, which may be started and stopped."""

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
        """A storage on the server, at the table of this test unless told otherwise.

        It is closed when the test ends.
        """
        query = urlencode({"table": self.table, **parameters})
        storage: SqlStorage = self.storage_type(f"{url or self.server.url}?{query}", clock=clock)
        self._made.append(storage)
        return storage

    async def opened(self, clock: Clock = time.time, **parameters: Any) -> SqlStorage:
        """The same, ready for use."""
        storage = self.at(clock, **parameters)
        await storage.open()
        return storage
