"""Test opening, closing, namespaces, and the refusal of operations that a storage lacks."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ...errors import StorageUnavailable, StorageUnsupported
from ...meters.catalogue import METRICS
from ...meters.metric import Distribution, Kind
from ...operations import MUST_NOT_EXIST, Batch, Delete, Get, List, ReadChanges, Record, Touch
from ...storage import Capability, Storage
from ..clock import MovedClock
from .case import StorageCase, value_of
from .operations import SPACE, put


class Lifecycle(StorageCase):
    async def test_it_declares_what_it_lacks(self, storage: Storage) -> None:
        assert storage.lacks.keys() == self.lacks.keys()
        assert all(storage.lacks.values()), "each lack has a reason"

    async def test_it_refuses_operations_that_it_lacks(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        record = Record(namespace=SPACE, key="r", expires_at=clock() + 9, make=lambda _: b"")
        calls: dict[Capability, Callable[[], Awaitable[object]]] = {
            Capability.PRECONDITIONS: lambda: storage.set(put("a", precondition=MUST_NOT_EXIST)),
            Capability.ATOMIC_BATCHES: lambda: storage.batch(Batch([put("a")], atomic=True)),
            Capability.LISTING: lambda: storage.list(List(SPACE, "", 10)),
            Capability.TOUCH: lambda: storage.touch(
                Touch(namespace=SPACE, key="a", expires_at=None)
            ),
            Capability.CHANGES: lambda: storage.changes(ReadChanges(None)),
            Capability.SEEKING: lambda: storage.list(List(SPACE, "", 10, is_reverse=True)),
            Capability.NAMESPACES: lambda: storage.set(put("a", namespace="other")),
            Capability.RESERVED: lambda: storage.batch(Batch([put("a")], record=record)),
        }
        for capability in self.lacks:
            with pytest.raises(StorageUnsupported):
                await calls[capability]()
            assert await storage.get(Get(SPACE, "a")) is None

    async def test_namespaces_know_nothing_of_each_other(self, storage: Storage) -> None:
        self._needs(Capability.NAMESPACES)
        one, two = [await self.space(storage, name) for name in ("one", "two")]
        await storage.set(put("a", b"1", namespace=one))
        await storage.set(put("a", b"2", namespace=two))
        await storage.delete(Delete(one, "a"))
        assert await storage.get(Get(one, "a")) is None
        assert await storage.get(Get(SPACE, "a")) is None
        assert value_of(await storage.get(Get(two, "a"))) == (b"2", True)
        if Capability.LISTING not in self.lacks:
            page = await storage.list(List(two, "", 10))
            assert [info.key for info in page.keys] == ["a"]
            assert not (await storage.list(List(one, "", 10))).keys

    async def test_acknowledged_writes_are_there_after_reopening(
        self, storage: Storage, clock: MovedClock, tmp_path: Path
    ) -> None:
        if not self.durable:
            pytest.skip("keeps nothing")
        versions = await asyncio.gather(*(storage.set(put(str(i))) for i in range(100)))
        await storage.close()
        again = self.make(clock, tmp_path)
        await again.open()
        for i, version in enumerate(versions):
            entry = await again.get(Get(SPACE, str(i)))
            assert entry is not None
            assert entry.version == version
        await again.close()

    async def test_closing_finishes_accepted_writes(
        self, storage: Storage, clock: MovedClock, tmp_path: Path
    ) -> None:
        writes = [asyncio.ensure_future(storage.set(put(str(i)))) for i in range(20)]
        await asyncio.sleep(0)
        await storage.close()
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {str, StorageUnavailable}
        if not self.durable:
            return
        again = self.make(clock, tmp_path)
        await again.open()
        for i, outcome in enumerate(outcomes):
            if isinstance(outcome, str):
                entry = await again.get(Get(SPACE, str(i)))
                assert entry is not None
                assert entry.version == outcome
        await again.close()

    async def test_a_closed_storage_is_unavailable(self, storage: Storage) -> None:
        await storage.close()
        await storage.close()
        acts: list[Callable[[], Awaitable[object]]] = [
            lambda: storage.get(Get(SPACE, "a")),
            lambda: storage.set(put("a")),
            lambda: storage.delete(Delete(SPACE, "a")),
            lambda: storage.batch(Batch([Get(SPACE, "a")])),
            lambda: storage.batch(Batch([put("a")])),
            storage.check,
            storage.probe,
        ]
        if Capability.LISTING not in self.lacks:
            acts.append(lambda: storage.list(List(SPACE, "", 1)))
        for act in acts:
            # In a batch, each operation may fail by itself.
            outcome = (await asyncio.gather(act(), return_exceptions=True))[0]
            for error in outcome if isinstance(outcome, list) else [outcome]:
                assert isinstance(error, StorageUnavailable)

    async def test_migrating_again_is_harmless(self, storage: Storage) -> None:
        await storage.set(put("a"))
        await storage.migrate()
        assert list(await storage.migrate()) == []
        assert await storage.get(Get(SPACE, "a")) is not None

    async def test_it_is_healthy(self, storage: Storage) -> None:
        await storage.check()
        await storage.probe()

    async def test_a_probe_changes_no_entry(self, storage: Storage) -> None:
        version = await storage.set(put("a"))
        for _ in range(3):
            await storage.probe()
        entry = await storage.get(Get(SPACE, "a"))
        assert entry is not None
        assert entry.version == version
        if Capability.LISTING not in self.lacks:
            page = await storage.list(List(SPACE, "", 10))
            assert [info.key for info in page.keys] == ["a"]

    async def test_it_measures_itself_whether_or_not_it_is_open(
        self, storage: Storage, clock: MovedClock, tmp_path: Path
    ) -> None:
        await storage.set(put("a"))
        measured = [*storage.measurements()]
        await storage.close()
        measured += [*storage.measurements(), *self.make(clock, tmp_path).measurements()]
        for metric, number, labels in measured:
            assert METRICS[metric.name] is metric
            assert len(labels) == len(metric.labels)
            assert isinstance(number, Distribution) is (metric.kind is Kind.HISTOGRAM)

    async def test_its_warnings_are_sentences(self, storage: Storage) -> None:
        assert all(sentence.endswith(".") for sentence in await storage.warnings())
