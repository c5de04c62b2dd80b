"""Test updates of storages that decide preconditions, but not updates."""

import asyncio
import time

import pytest

from workertown_kv.entry import Entry
from workertown_kv.errors import PreconditionFailed, StorageFailure, StorageUnavailable
from workertown_kv.operations import Decision, Get, Set, Touch, Update, Updated
from workertown_kv.options import CacheOptions
from workertown_kv.storage import Storage
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.wrappers.cached import CachedStorage

pytestmark = pytest.mark.anyio


class Comparing(MemoryStorage):
    """Updates as a storage does that has only preconditions."""

    async def update(self, operation: Update) -> Updated:
        return await Storage.update(self, operation)


def add(key: str) -> Update:
    def decide(entry: Entry | None) -> Decision:
        number = int(entry.value if entry else b"0") + 1
        return Set(namespace="default", key=key, value=str(number).encode())

    return Update(namespace="default", key=key, decide=decide)


async def test_an_update_that_loses_for_too_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Losing(Comparing):
        tries = 0

        async def set(self, operation: Set) -> str:
            self.tries += 1
            raise PreconditionFailed

    storage = Losing()
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 3600 * (storage.tries > 1))
    with pytest.raises(StorageUnavailable) as caught:
        await storage.update(add("n"))
    assert caught.value.kind is StorageFailure.BUSY
    assert storage.tries == 2


async def test_an_update_tries_again_after_another_write() -> None:
    class Disturbed(Comparing):
        disturbances = 3

        async def get(self, operation: Get) -> Entry | None:
            entry = await super().get(operation)
            if self.disturbances:
                self.disturbances -= 1
                await MemoryStorage.update(self, add("n"))
            return entry

    storage = Disturbed()
    updated = await storage.update(add("n"))
    assert updated.after is not None
    assert updated.after.value == b"4"


async def test_an_update_does_not_undo_a_touch() -> None:
    class Touched(Comparing):
        touches = 1

        async def get(self, operation: Get) -> Entry | None:
            entry = await super().get(operation)
            if self.touches:
                self.touches -= 1
                later = self.clock() + 60
                await self.touch(Touch(namespace="default", key="n", expires_at=later))
            return entry

    def keep(entry: Entry | None) -> Decision:
        assert entry is not None
        return Set(namespace="default", key="n", value=b"2", expires_at=entry.expires_at)

    storage = Touched({"n": 1})
    updated = await storage.update(Update(namespace="default", key="n", decide=keep))
    assert updated.after is not None
    assert updated.after.expires_at is not None


async def test_updates_in_one_process_take_turns() -> None:
    class Counted(Comparing):
        reads = 0

        async def get(self, operation: Get) -> Entry | None:
            self.reads += 1
            await asyncio.sleep(0)
            return await super().get(operation)

    storage = Counted()
    await asyncio.gather(*(storage.update(add("n")) for _ in range(20)))
    assert storage.reads == 20


async def test_an_update_reads_past_a_cache() -> None:
    far = Comparing()
    near = CachedStorage(far, CacheOptions())
    await near.update(add("n"))
    assert (await near.get(Get("default", "n"))) is not None
    await far.update(add("n"))  # which the cache does not see
    updated = await near.update(add("n"))
    assert updated.after is not None
    assert updated.after.value == b"3"
    assert await near.get(Get("default", "n")) == updated.after
