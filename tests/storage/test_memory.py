"""Test that MemoryStorage keeps the contract."""

import asyncio
from pathlib import Path

import pytest

from workertown_kv.operations import Get, List, Set
from workertown_kv.storage import Clock, Storage, memory
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock, StorageConformance


class TestMemoryStorage(StorageConformance):
    lacks = MemoryStorage.lacks
    durable = False

    def make(self, clock: Clock, folder: Path) -> Storage:
        return MemoryStorage(clock=clock)

    async def test_it_can_begin_with_values(self) -> None:
        storage = MemoryStorage({"a": {"b": [1, None]}})
        entry = await storage.get(Get("default", "a"))
        assert entry is not None
        assert (entry.value, entry.is_json) == (b'{"b":[1,null]}', True)


@pytest.mark.anyio
@pytest.mark.parametrize("count", [99, 100, 101])
async def test_a_listing_lets_others_in_between_its_steps(
    clock: MovedClock, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(memory, "SCANNED_ENTRIES", 10)
    storage = MemoryStorage(clock=clock)
    for i in range(count):
        expired = Set(namespace="default", key=f"{i:03}", value=b"1", expires_at=clock())
        await storage.set(expired)
    await storage.set(Set(namespace="default", key="z", value=b"1"))
    listing = asyncio.create_task(storage.list(List("default", "", 1)))
    turns = 0
    while not listing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 10
    assert [one.key for one in listing.result().keys] == ["z"]
    assert listing.result().cursor is None
