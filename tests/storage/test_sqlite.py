"""SqliteStorage keeps the contract."""

from pathlib import Path

from workertown_kv.storage import Clock, Storage
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.testing import StorageConformance


class TestSqliteStorage(StorageConformance):
    def make(self, clock: Clock, folder: Path) -> Storage:
        return SqliteStorage(folder / "kv.sqlite", clock=clock)
