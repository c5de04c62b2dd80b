"""Test listing keys, page by page."""

import asyncio

import pytest

from ...errors import InputError
from ...operations import Delete, Get, List
from ...storage import Capability, Storage
from ..clock import MovedClock
from ..strategies import ODD_KEYS
from .case import StorageCase, put_all
from .operations import SPACE, put


class Listings(StorageCase):
    async def test_keys_are_listed_in_the_order_of_their_bytes(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.LISTING)
        for key in ODD_KEYS:
            await storage.set(put(key, metadata=b'{"k":1}', expires_at=clock() + 9))
        page = await storage.list(List(SPACE, "", 1000))
        assert [info.key for info in page.keys] == sorted(ODD_KEYS, key=str.encode)
        assert page.cursor is None
        for info in page.keys:
            entry = await storage.get(Get(SPACE, info.key))
            assert entry is not None
            assert (info.version, info.expires_at, info.metadata) == (
                entry.version,
                entry.expires_at,
                entry.metadata,
            )

    async def test_a_prefix_is_compared_byte_for_byte(self, storage: Storage) -> None:
        self._needs(Capability.LISTING)
        keys: set[str] = set()
        for prefix in ("", "a", "a/", "%", "_", "\0", "\ud7ff", "\U0010ffff", "z"):
            more = {*ODD_KEYS, *(prefix + key for key in ODD_KEYS)} - keys
            keys |= more
            await put_all(storage, more)
            listed = await all_keys(storage, prefix, 3)
            assert listed == sorted((k for k in keys if k.startswith(prefix)), key=str.encode)

    async def test_expired_keys_are_not_listed(self, storage: Storage, clock: MovedClock) -> None:
        self._needs(Capability.LISTING)
        for i in range(10):
            await storage.set(put(f"{i}", expires_at=clock() + 1 if i % 2 else None))
        clock.move(1)
        assert await all_keys(storage, "", 2) == ["0", "2", "4", "6", "8"]

    async def test_a_page_is_empty_only_if_it_is_the_last(self, storage: Storage) -> None:
        self._needs(Capability.LISTING)
        page = await storage.list(List(SPACE, "", 5))
        assert (list(page.keys), page.cursor) == ([], None)
        for i in range(10):
            await storage.set(put(str(i)))
        first = await storage.list(List(SPACE, "", 5))
        second = await storage.list(List(SPACE, "", 5, first.cursor))
        assert (len(first.keys), len(second.keys), second.cursor) == (5, 5, None)

    async def test_paging_while_others_write_neither_repeats_nor_skips(
        self, storage: Storage
    ) -> None:
        self._needs(Capability.LISTING)
        stay = [f"k{i:03}" for i in range(0, 300, 3)]
        come, go = ([f"k{i:03}" for i in range(start, 300, 3)] for start in (1, 2))
        await put_all(storage, (*stay, *go))

        async def change() -> None:
            for key, gone in zip(come, go, strict=True):
                await storage.set(put(key))
                await storage.delete(Delete(SPACE, gone))

        changing = asyncio.ensure_future(change())
        listed = await all_keys(storage, "k", 7)
        await changing
        assert len(listed) == len(set(listed))
        assert set(stay) <= set(listed)

    async def test_a_cursor_of_another_listing_is_refused(self, storage: Storage) -> None:
        self._needs(Capability.LISTING)
        for key in ("a1", "a2", "b1", "b2"):
            await storage.set(put(key))
        page = await storage.list(List(SPACE, "a", 1))
        with pytest.raises(InputError):
            await storage.list(List(SPACE, "b", 1, page.cursor))


async def all_keys(storage: Storage, prefix: str, limit: int) -> list[str]:
    keys: list[str] = []
    cursor = None
    while True:
        page = await storage.list(List(SPACE, prefix, limit, cursor))
        keys += [info.key for info in page.keys]
        cursor = page.cursor
        if cursor is None:
            return keys
