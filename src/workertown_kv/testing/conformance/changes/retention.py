"""Test how long changes are kept."""

from pathlib import Path

import pytest

from ....errors import CursorGone, StorageUnsupported
from ....operations import Batch, Event, ReadChanges
from ....storage import Capability, Clock, Retention, Storage
from ...clock import MovedClock
from ..case import StorageCase
from ..operations import put
from .log import changes_since, cursor_of_now, seen


class RetentionCases(StorageCase):
    async def test_a_cursor_is_gone_once_later_changes_are_not_kept(
        self, clock: MovedClock, tmp_path: Path
    ) -> None:
        self._needs(Capability.CHANGES)
        storage = await self._keeping(Retention(3600, 20), clock, tmp_path)
        begin = await cursor_of_now(storage)

        async def write_and_read() -> None:
            for _ in range(100):
                await storage.batch(Batch([put(f"k{i}") for i in range(100)]))
                await storage.sweep(1000)
                await storage.changes(ReadChanges(begin))

        with pytest.raises(CursorGone):
            await write_and_read()
        before = await cursor_of_now(storage)
        version = await storage.set(put("last"))
        assert seen(await changes_since(storage, before)) == [(Event.SET, "last", version)]
        await storage.close()

    async def test_a_cursor_is_gone_once_later_changes_are_too_old(
        self, clock: MovedClock, tmp_path: Path
    ) -> None:
        self._needs(Capability.CHANGES)
        storage = await self._keeping(Retention(100, 100_000), clock, tmp_path)
        begin = await cursor_of_now(storage)
        await storage.set(put("a"))
        clock.move(90)
        await storage.sweep(10)
        assert len(await changes_since(storage, begin)) == 1
        for _ in range(3):
            clock.move(200)
            await storage.sweep(10)
            await storage.set(put("a"))
        with pytest.raises(CursorGone):
            await storage.changes(ReadChanges(begin))
        await storage.close()

    async def test_an_idle_reader_keeps_its_cursor(self, clock: MovedClock, tmp_path: Path) -> None:
        self._needs(Capability.CHANGES)
        storage = await self._keeping(Retention(100, 100_000), clock, tmp_path)
        await storage.set(put("a"))
        begin = await cursor_of_now(storage)
        for _ in range(3):
            clock.move(1000)
            await storage.sweep(10)
        # There was no change that could have been missed.
        version = await storage.set(put("a"))
        assert seen(await changes_since(storage, begin)) == [(Event.SET, "a", version)]
        await storage.close()

    async def test_nothing_is_recorded_if_it_is_turned_off(
        self, clock: MovedClock, tmp_path: Path
    ) -> None:
        self._needs(Capability.CHANGES)
        storage = await self._keeping(Retention(), clock, tmp_path)
        begin = await cursor_of_now(storage)
        await storage.set(put("a"))
        await storage.close()
        off = await self._keeping(None, clock, tmp_path)
        await off.probe()
        await off.set(put("a"))
        with pytest.raises(StorageUnsupported):
            await off.changes(ReadChanges(begin))
        await off.close()
        again = await self._keeping(Retention(), clock, tmp_path)
        # A change is missing, so that no reader may resume.
        with pytest.raises(CursorGone):
            await again.changes(ReadChanges(begin))
        cursor = await cursor_of_now(again)
        version = await again.set(put("b"))
        assert seen(await changes_since(again, cursor)) == [(Event.SET, "b", version)]
        await again.close()

    async def _keeping(self, retention: Retention | None, clock: Clock, folder: Path) -> Storage:
        storage = self.make(clock, folder)
        storage.retention = retention
        await storage.open()
        return storage
