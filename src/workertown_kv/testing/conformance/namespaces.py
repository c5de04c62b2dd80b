"""Test namespaces, and their refusal by a storage that cannot keep them."""

import asyncio

import pytest

from ...errors import NamespaceExists, NamespaceNotFound, StorageUnsupported
from ...namespaces import namespaces_of
from ...operations import Get, List
from ...storage import Capability, Storage
from ..clock import MovedClock
from .case import StorageCase, value_of
from .operations import put

_NEEDED = (
    Capability.NAMESPACES,
    Capability.PRECONDITIONS,
    Capability.ATOMIC_BATCHES,
    Capability.LISTING,
)


class NamespaceCases(StorageCase):
    def _keeps_namespaces(self) -> None:
        for capability in _NEEDED:
            self._needs(capability)

    async def test_a_storage_that_cannot_keep_namespaces_has_the_default_one(
        self, storage: Storage
    ) -> None:
        namespaces = namespaces_of(storage)
        assert [namespace.title for namespace in await namespaces.all()] == ["default"]
        assert (await namespaces.named("default")).name == "default"
        if any(capability in self.lacks for capability in _NEEDED):
            with pytest.raises(StorageUnsupported):
                await namespaces.create("another")

    async def test_each_namespace_has_keys_of_its_own(self, storage: Storage) -> None:
        self._keeps_namespaces()
        namespaces = namespaces_of(storage)
        one, other = await namespaces.create("one"), await namespaces.create("other")
        for namespace in (one, other):
            await storage.set(
                put("a", namespace.id.encode(), is_json=False, namespace=namespace.name)
            )
        assert value_of(await storage.get(Get(one.name, "a"))) == (one.id.encode(), False)
        assert value_of(await storage.get(Get(other.name, "a"))) == (other.id.encode(), False)
        assert await storage.get(Get("default", "a")) is None

    async def test_only_one_of_many_creations_gets_a_title(self, storage: Storage) -> None:
        self._keeps_namespaces()
        namespaces = namespaces_of(storage)
        made = await asyncio.gather(
            *(namespaces.create("wanted") for _ in range(8)), return_exceptions=True
        )
        assert sorted(type(outcome).__name__ for outcome in made) == [
            "Namespace",
            *["NamespaceExists"] * 7,
        ]
        titles = [namespace.title for namespace in await namespaces.all()]
        assert titles == ["default", "wanted"]

    async def test_a_namespace_is_renamed_and_keeps_its_keys(self, storage: Storage) -> None:
        self._keeps_namespaces()
        namespaces = namespaces_of(storage)
        namespace = await namespaces.create("before")
        await storage.set(put("a", namespace=namespace.name))
        await namespaces.create("taken")
        with pytest.raises(NamespaceExists):
            await namespaces.rename(namespace.id, "taken")
        await namespaces.rename(namespace.id, "after")
        assert await namespaces.named("after") == await namespaces.find(namespace.id)
        with pytest.raises(NamespaceNotFound):
            await namespaces.named("before")
        assert await storage.get(Get(namespace.name, "a"))
        # The old title is free again.
        await namespaces.create("before")

    async def test_a_deleted_namespace_is_gone_with_all_its_keys(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._keeps_namespaces()
        namespaces = namespaces_of(storage)
        namespace, kept = await namespaces.create("gone"), await namespaces.create("kept")
        for key in ("a", "b", "c"):
            await storage.set(put(key, namespace=namespace.name))
            await storage.set(put(key, namespace=kept.name))
        await namespaces.delete(namespace.id)
        for name in (namespace.id, "gone"):
            with pytest.raises(NamespaceNotFound):
                await namespaces.named(name)
        if storage.directory is not None:
            with pytest.raises(NamespaceNotFound):
                await storage.get(Get(namespace.name, "a"))
            assert len((await storage.list(List(kept.name, "", 10))).keys) == 3
            return  # the storage removes the keys itself
        assert await namespaces.purge(2) == 2
        # A write that was under way arrives late.
        await storage.set(put("late", namespace=namespace.name))
        assert await namespaces.purge(10) == 2
        assert await namespaces.purge(10) == 0
        assert not (await storage.list(List(namespace.name, "", 10))).keys
        assert len((await storage.list(List(kept.name, "", 10))).keys) == 3
        clock.move(4000)
        await namespaces.purge(10)
        await storage.set(put("too late", namespace=namespace.name))
        assert await namespaces.purge(10) == 0

    async def test_many_namespaces_are_listed(self, storage: Storage) -> None:
        self._keeps_namespaces()
        namespaces = namespaces_of(storage)
        titles = {f"title {number}" for number in range(50)}
        made = [await namespaces.create(title) for title in sorted(titles)]
        found = await namespaces.all()
        assert {namespace.title for namespace in found} == titles | {"default"}
        assert {new.id for new in made} < {namespace.id for namespace in found}
