"""Test namespaces over a storage that fails or is slow; `StorageConformance` has the rest."""

import asyncio
from collections.abc import Sequence

import pytest

from workertown_kv.entry import Entry
from workertown_kv.errors import NamespaceExists, NamespaceNotFound, StorageError
from workertown_kv.namespaces import Namespace, Namespaces
from workertown_kv.operations import Batch, Get, List, Page, Result, Set
from workertown_kv.storage import Capability
from workertown_kv.storage.memory import MemoryStorage


class _Held(MemoryStorage):
    """Answers gets only when a test lets it, with the entries of the time when they came."""

    may_answer: asyncio.Event | None = None

    async def get(self, operation: Get) -> Entry | None:
        found = await super().get(operation)
        if self.may_answer is not None:
            await self.may_answer.wait()
        return found


class _Slow(MemoryStorage):
    """Lets other tasks run after each get."""

    async def get(self, operation: Get) -> Entry | None:
        found = await super().get(operation)
        await asyncio.sleep(0)
        return found


@pytest.mark.anyio
async def test_what_was_read_while_a_namespace_was_deleted_is_not_believed_later() -> None:
    storage = _Held()
    namespaces = Namespaces(storage)
    namespace = await namespaces.create("one")
    may_answer = storage.may_answer = asyncio.Event()
    finding = asyncio.create_task(namespaces.find(namespace.id, fresh=False))
    await asyncio.sleep(0)
    storage.may_answer = None
    await namespaces.delete(namespace.id)
    may_answer.set()
    await finding
    with pytest.raises(NamespaceNotFound):
        await namespaces.find(namespace.id, fresh=False)


@pytest.mark.anyio
async def test_of_two_who_take_a_title_in_one_account_at_once_one_does() -> None:
    namespaces = Namespaces(_Slow(), ("first", "second"))
    both = (namespaces.create("one"), namespaces.create("one", "first"))
    made = await asyncio.gather(*both, return_exceptions=True)
    assert [type(one) for one in made] == [Namespace, NamespaceExists]
    of_none, of_first = await namespaces.create("two"), await namespaces.create("three", "first")
    both = (namespaces.rename(of_none.id, "four"), namespaces.rename(of_first.id, "four"))
    renamed = await asyncio.gather(*both, return_exceptions=True)
    assert [type(one) for one in renamed] == [Namespace, NamespaceExists]
    assert (await namespaces.create("four", "second")).account == "second"


class _Failing(MemoryStorage):
    """Fails each operation of a batch that is not atomic."""

    async def batch(self, operation: Batch) -> Sequence[Result]:
        if operation.atomic:
            return await super().batch(operation)
        return [StorageError("It failed") for _ in operation.operations]


@pytest.mark.anyio
async def test_keys_that_cannot_be_removed_are_an_error_and_not_tried_without_end() -> None:
    storage = _Failing()
    namespaces = Namespaces(storage)
    namespace = await namespaces.create("one")
    await storage.set(Set(namespace=namespace.id, key="a", value=b"1"))
    await namespaces.delete(namespace.id)
    with pytest.raises(StorageError, match="It failed"):
        await namespaces.purge(10)


class _Counting(MemoryStorage):
    """Counts listings."""

    lists = 0

    async def list(self, operation: List) -> Page:
        self.lists += 1
        return await super().list(operation)


@pytest.mark.anyio
async def test_removing_many_keys_looks_at_other_deleted_namespaces_only_once() -> None:
    storage = _Counting()
    namespaces = Namespaces(storage)
    created = [await namespaces.create(f"title {number}") for number in range(50)]
    last = max(namespace.id for namespace in created)
    for number in range(30):
        await storage.set(Set(namespace=last, key=str(number), value=b"1"))
    for namespace in created:
        await namespaces.delete(namespace.id)
    assert [await namespaces.purge(10) for _ in range(4)] == [10, 10, 10, 0]
    assert storage.lists < 120
    assert not (await storage.list(List(last, "", 1))).keys


@pytest.mark.anyio
async def test_the_keys_of_each_of_many_deleted_namespaces_are_removed() -> None:
    storage = MemoryStorage()
    namespaces = Namespaces(storage)
    created = [await namespaces.create(f"title {number}") for number in range(1100)]
    last = max(namespace.id for namespace in created)
    for namespace in created:
        await namespaces.delete(namespace.id)
    await storage.set(Set(namespace=last, key="late", value=b"1"))
    assert await namespaces.purge(10) == 1
    assert not (await storage.list(List(last, "", 1))).keys


class _Lacking(MemoryStorage):
    lacks = {Capability.ATOMIC_BATCHES: "it is a test"}  # noqa: RUF012  (as storages have it)


def test_where_there_are_none_waiting_for_deleted_ones_goes_on_on_another_event_loop() -> None:
    namespaces = Namespaces(_Lacking())

    async def purge_and_wait() -> int:
        purged = await namespaces.purge(10)
        await namespaces.wait_for_deleted(0)
        return purged

    assert [asyncio.run(purge_and_wait()) for _ in range(2)] == [0, 0]
