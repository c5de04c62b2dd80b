"""Test that MemoryStorage keeps the contract."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from workertown_kv.operations import Event, Get, List, ReadChanges, Set
from workertown_kv.storage import SWEEP_MARGIN_SECONDS, Clock, Retention, Storage, memory
from workertown_kv.storage.expiry_heap import FEWEST
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.tasks import leave_task
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


@pytest.mark.anyio
async def test_an_entry_that_is_written_often_takes_no_more_memory(clock: MovedClock) -> None:
    storage = MemoryStorage(clock=clock)
    storage.retention = Retention(100_000, 100_000)
    await storage.open()
    begin = (await storage.changes(ReadChanges(None))).cursor
    for key, count in (("a", 1), ("often", 5 * FEWEST), ("z", 1)):
        for number in range(count):
            expires_at = clock() + 1000 + number
            await storage.set(Set(namespace="default", key=key, value=b"1", expires_at=expires_at))
    assert storage._table._expiring.first == storage._table._due.first == clock() + 1000
    assert max(map(len, (storage._table._expiring, storage._table._due))) <= 2 * FEWEST
    clock.move(1000)
    now = (await storage.changes(ReadChanges(begin, limit=10_000))).changes
    assert [one.key for one in now if one.event is Event.EXPIRE] == ["a", "z"]
    clock.move(5 * FEWEST + SWEEP_MARGIN_SECONDS)
    later = (await storage.changes(ReadChanges(begin, limit=20_000))).changes
    assert [one.key for one in later if one.event is Event.EXPIRE] == ["a", "z", "often"]
    assert await storage.sweep(10) == 3


def test_a_reader_of_an_event_loop_that_was_closed_is_not_woken() -> None:
    storage = MemoryStorage()
    storage.retention = Retention()

    async def leave_a_reader() -> None:
        await storage.open()
        cursor = (await storage.changes(ReadChanges(None))).cursor
        reading.append(asyncio.create_task(storage.changes(ReadChanges(cursor, wait=60))))
        await asyncio.sleep(0)

    async def write() -> str:
        await storage.open()
        return await storage.set(Set(namespace="default", key="a", value=b"1"))

    reading: list[asyncio.Task[Any]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_a_reader())
    loop.close()
    assert asyncio.run(write())
    leave_task(reading[0])
