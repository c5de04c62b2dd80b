"""MemoryStorage keeps the contract."""

from pathlib import Path

from workertown_kv.operations import Get
from workertown_kv.storage import Clock, Storage
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import StorageConformance


class TestMemoryStorage(StorageConformance):
    durable = False

    def make(self, clock: Clock, folder: Path) -> Storage:
        return MemoryStorage(clock=clock)

    async def test_it_can_begin_with_values(self) -> None:
        storage = MemoryStorage({"a": {"b": [1, None]}})
        entry = await storage.get(Get("default", "a"))
        assert entry is not None
        assert (entry.value, entry.is_json) == (b'{"b":[1,null]}', True)
