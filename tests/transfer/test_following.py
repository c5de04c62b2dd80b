"""Test that a later copy takes what has changed."""

from collections.abc import Sequence

import pytest

from transfer.files import entries_of, store_of
from workertown_kv.entry import DEFAULT_NAMESPACE
from workertown_kv.errors import CursorGone
from workertown_kv.operations import (
    Change,
    ChangePage,
    Delete,
    Event,
    ReadChanges,
    Set,
    Touch,
)
from workertown_kv.storage import Retention
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock
from workertown_kv.transfer import following
from workertown_kv.transfer.following import copy_changes, position_of
from workertown_kv.transfer.moving import Store, copy
from workertown_kv.transfer.targets import Targets
from workertown_kv.transfer.writing import Writer

pytestmark = pytest.mark.anyio


async def put(store: Store, key: str, value: bytes = b"1", name: str = DEFAULT_NAMESPACE) -> None:
    await store.storage.set(Set(namespace=name, key=key, value=value))


async def copied(source: Store, target: Store) -> str:
    """Copy everything, and return the position for the next copy."""
    position = await position_of(source.storage)
    chosen = await source.namespaces.all()
    await copy(source, chosen, Targets(target.namespaces), Writer(target.storage))
    return position


async def test_after_a_later_copy_both_stores_are_the_same(
    clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_CHANGES", 3)
    monkeypatch.setattr(following, "_GETS_TOGETHER", 2)
    source, target = (store_of(MemoryStorage(clock=clock)) for _ in range(2))
    first = await source.namespaces.create("first")
    for number in range(10):
        await put(source, f"k{number}")
        await put(source, f"k{number}", name=first.name)
    since = await copied(source, target)
    second = await source.namespaces.create("second")
    await put(source, "new", name=second.name)
    await put(source, "k1", b"2")
    await put(source, "k1", b"3", first.name)
    await source.storage.delete(Delete(DEFAULT_NAMESPACE, "k2"))
    await source.storage.touch(
        Touch(namespace=DEFAULT_NAMESPACE, key="k3", expires_at=clock() + 9.5)
    )
    await source.storage.touch(Touch(namespace=DEFAULT_NAMESPACE, key="k4", expires_at=clock() + 1))
    clock.move(2)
    done = await copy_changes(source, target.storage, Targets(target.namespaces), since)
    assert await entries_of(target) == await entries_of(source)
    assert await target.namespaces.all() == await source.namespaces.all()
    assert (done.written, done.deleted) == (4, 2)
    again = await copy_changes(source, target.storage, Targets(target.namespaces), done.cursor)
    assert (again.written, again.deleted) == (0, 0)


async def test_a_later_copy_may_be_of_some_namespaces(clock: MovedClock) -> None:
    source, target = (store_of(MemoryStorage(clock=clock)) for _ in range(2))
    namespace = await source.namespaces.create("one")
    since = await copied(source, target)
    await put(source, "a")
    await put(source, "b", name=namespace.name)
    targets = Targets(target.namespaces)
    await copy_changes(source, target.storage, targets, since, [namespace])
    found = await entries_of(target)
    assert [len(entries) for entries in found.values()] == [0, 1]


class _Deleted(MemoryStorage):
    """Has one change: the deletion of all keys with a prefix, and then a set."""

    async def changes(self, operation: ReadChanges) -> ChangePage:
        changes: Sequence[Change] = [
            Change(event=Event.SET, namespace=DEFAULT_NAMESPACE, key="a/1"),
            Change(event=Event.DELETE_PREFIX, namespace=DEFAULT_NAMESPACE, key="a/"),
            Change(event=Event.SET, namespace=DEFAULT_NAMESPACE, key="a/2"),
        ]
        return ChangePage(changes, "end", complete=True)


async def test_a_deletion_by_prefix_is_followed_in_its_order() -> None:
    source, target = store_of(_Deleted()), store_of(MemoryStorage())
    await put(source, "a/2")
    for key in ("a/0", "a/1", "b"):
        await put(target, key)
    await copy_changes(source, target.storage, Targets(target.namespaces), "begin")
    assert [entry.key for entry in (await entries_of(target))["0" * 32]] == ["a/2", "b"]


async def test_changes_that_are_no_longer_kept_are_an_error(clock: MovedClock) -> None:
    storage = MemoryStorage(clock=clock)
    storage.retention = Retention(seconds=1e9, entries=2)
    source, target = store_of(storage), store_of(MemoryStorage(clock=clock))
    await storage.open()
    since = await copied(source, target)
    for number in range(5000):
        await put(source, str(number))
    with pytest.raises(CursorGone):
        await copy_changes(source, target.storage, Targets(target.namespaces), since)
