"""Test that a watch goes on after failures, and says when it has missed changes."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from workertown_kv import AsyncClient
from workertown_kv.client import Change, watching
from workertown_kv.errors import CursorGone, InputError, StorageError, StorageUnavailable
from workertown_kv.operations import ChangePage, List, Page, ReadChanges
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

SECONDS = 60


class Failing(MemoryStorage):
    """Raises the next error of a list instead of reading changes or a listing."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[Exception | None] = []

    def _fail(self) -> None:
        error = self.failures.pop(0) if self.failures else None
        if error is not None:
            raise error

    async def changes(self, operation: ReadChanges) -> ChangePage:
        self._fail()
        return await super().changes(operation)

    async def list(self, operation: List) -> Page:
        self._fail()
        return await super().list(operation)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LONGEST_PAUSE_SECONDS", 0.001)


async def some(changes: Any, count: int) -> Sequence[tuple[str, str]]:
    async with asyncio.timeout(SECONDS):
        found: list[Change] = [await anext(changes) for _ in range(count)]
    return [(one.event, one.key) for one in found]


async def test_a_watch_goes_on_after_failures() -> None:
    storage = Failing()
    async with AsyncClient(storage) as store:
        changes = store.watch("a", initial=True)
        assert await some(changes, 1) == [("ready", "")]
        storage.failures = [StorageUnavailable("gone")] * 3
        await store.set("b", 1)
        await store.set("a", 2)
        assert await some(changes, 1) == [("set", "a")]
        assert storage.failures == []


async def test_the_initial_entries_go_on_after_failures() -> None:
    storage = Failing()
    async with AsyncClient(storage) as store:
        async with store.batch() as batch:
            for number in range(1500):
                batch.set(f"n/{number:04}", number)
        storage.failures = [None, None, StorageUnavailable("gone")]
        seen = await some(store.watch("n/", initial=True), 1501)
        assert seen == [*(("set", f"n/{number:04}") for number in range(1500)), ("ready", "")]
        assert storage.failures == []


@pytest.mark.parametrize("error", [CursorGone(), InputError("no cursor of this storage")])
async def test_a_watch_that_missed_changes_begins_again(error: Exception) -> None:
    storage = Failing()
    async with AsyncClient(storage) as store:
        await store.set("a", 1)
        changes = store.watch(initial=True)
        assert await some(changes, 2) == [("set", "a"), ("ready", "")]
        storage.failures = [error]
        assert await some(changes, 3) == [("reset", ""), ("set", "a"), ("ready", "")]


async def test_a_watch_raises_failures_that_do_not_end() -> None:
    storage = Failing()
    async with AsyncClient(storage) as store:
        changes = store.watch(initial=True)
        await some(changes, 1)
        storage.failures = [StorageError("refused")]
        with pytest.raises(StorageError, match="refused"):
            await anext(changes)


async def test_a_watch_raises_the_failure_of_its_first_read() -> None:
    storage = Failing()
    async with AsyncClient(storage) as store:
        for error in (StorageUnavailable("gone"), InputError("gone")):
            storage.failures = [error]
            with pytest.raises(type(error), match="gone"):
                await anext(store.watch())


async def test_a_deletion_by_prefix_is_one_change_below_the_watched_prefix() -> None:
    async with AsyncClient("memory://") as store:
        await store.set("a/b/1", 1)
        changes = store.watch("a/b/", initial=True)
        assert await some(changes, 2) == [("set", "a/b/1"), ("ready", "")]
        await store.delete_prefix("a/")
        (change,) = await some(changes, 1)
        assert change in (("delete_prefix", "a/b/"), ("delete", "a/b/1"))
