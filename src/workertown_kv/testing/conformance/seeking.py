"""Test listings in reverse, from any name, by folders, and with values."""

import asyncio
from itertools import product

import msgspec
import pytest

from ...entry import Entry
from ...errors import InputError
from ...operations import Delete, Get, List
from ...storage import Capability, Storage
from ..clock import MovedClock
from ..listings import all_pages, items_of, names_of
from ..strategies import ODD_KEYS
from .case import StorageCase, put_all
from .operations import SPACE, put


class Seeking(StorageCase):
    async def test_a_listing_shows_its_items_in_order_after_any_name(
        self, storage: Storage
    ) -> None:
        self._needs(Capability.SEEKING)
        await put_all(storage, ODD_KEYS)
        pages = ((1000, None), (3, None), (2, "a/b"), (1, "a/"), (4, "\ue000"))
        for prefix, delimiter, is_reverse, (limit, start_after) in product(
            ("", "a", "a/"), (None, "/", "a"), (False, True), pages
        ):
            operation = List(
                SPACE,
                prefix,
                limit,
                start_after=start_after,
                is_reverse=is_reverse,
                delimiter=delimiter,
            )
            names, _ = await all_pages(storage, operation)
            assert names == items_of(ODD_KEYS, operation)

    async def test_folders_of_any_size_are_listed_once(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.SEEKING)
        keys = [f"{folder}/{i:02}" for folder in ("big", "huge") for i in range(40)]
        keys += [f"small{i:02}/a" for i in range(30)]
        await put_all(storage, (*keys, "a", "z"))
        await put_all(storage, (f"gone/{i:02}" for i in range(30)), expires_at=clock() + 1)
        await storage.set(put("half/a", expires_at=clock() + 1))
        await storage.set(put("half/b"))
        clock.move(1)
        for limit, is_reverse in product((1, 7, 1000), (False, True)):
            operation = List(SPACE, "", limit, is_reverse=is_reverse, delimiter="/")
            names, infos = await all_pages(storage, operation)
            assert names == items_of((*keys, "a", "z", "half/b"), operation)
            assert {info.key for info in infos} == {"a", "z"}

    async def test_a_listing_shows_only_what_is_within_its_prefixes(self, storage: Storage) -> None:
        self._needs(Capability.SEEKING)
        await put_all(storage, ODD_KEYS)
        for within in (("a/b", "a//", "e"), ("a",), (".", "a/", "\ud7ff"), ("x",), ("",)):
            for prefix in ("", "a", "a/"):
                for is_reverse in (False, True):
                    for delimiter in (None, "/"):
                        operation = List(
                            SPACE,
                            prefix,
                            2,
                            is_reverse=is_reverse,
                            delimiter=delimiter,
                            within=tuple(sorted(within)),
                        )
                        names, _ = await all_pages(storage, operation)
                        assert names == items_of(ODD_KEYS, operation)

    async def test_a_listing_in_reverse_neither_repeats_nor_skips_while_others_write(
        self, storage: Storage
    ) -> None:
        self._needs(Capability.SEEKING)
        stay = [f"k{i:03}" for i in range(0, 90, 3)]
        come, go = ([f"k{i:03}" for i in range(start, 90, 3)] for start in (1, 2))
        await put_all(storage, (*stay, *go))

        async def change() -> None:
            for key, gone in zip(come, go, strict=True):
                await storage.set(put(key))
                await storage.delete(Delete(SPACE, gone))

        changing = asyncio.ensure_future(change())
        listed, _ = await all_pages(storage, List(SPACE, "k", 7, is_reverse=True))
        await changing
        assert len(listed) == len(set(listed))
        assert set(stay) <= set(listed)

    async def test_a_cursor_before_the_start_is_refused(self, storage: Storage) -> None:
        self._needs(Capability.SEEKING)
        for operation in (
            List(SPACE, "", 1, "b", start_after="c"),
            List(SPACE, "", 1, "c", start_after="b", is_reverse=True),
            List(SPACE, "b", 1, "c", delimiter="/"),
        ):
            with pytest.raises(InputError):
                await storage.list(operation)

    async def test_entries_are_listed_with_their_values(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        self._needs(Capability.SEEKING)
        for i in range(5):
            await storage.set(put(f"a/{i}", str(i).encode(), metadata=b'{"i":1}'))
        await storage.set(put("b", b"\xff", is_json=False, expires_at=clock() + 9))
        await storage.set(put("c", expires_at=clock() + 1))
        clock.move(1)
        page = await storage.list_entries(List(SPACE, "", 1000), 1000)
        keys = [*(f"a/{i}" for i in range(5)), "b"]
        assert list(page.keys) == [await storage.get(Get(SPACE, key)) for key in keys]
        assert page.cursor is None
        page = await storage.list_entries(List(SPACE, "", 1, delimiter="/"), 1000)
        assert (names_of(page), page.cursor) == (["a/"], "a/")

    async def test_a_page_of_entries_ends_where_their_values_become_too_many(
        self, storage: Storage
    ) -> None:
        self._needs(Capability.SEEKING)
        keys = ["a", "b", "c/1", "c/2", "d", "e"]
        for key in keys:
            size = 400 if key == "d" else 100
            await storage.set(put(key, b"x" * size, is_json=False))
        for read_bytes, is_reverse in product((0, 250, 1000), (False, True)):
            operation = List(SPACE, "", 4, is_reverse=is_reverse, delimiter="/")
            found: list[str] = []
            while True:
                page = await storage.list_entries(operation, read_bytes)
                names = names_of(page, is_reverse=is_reverse)
                assert names or page.cursor is None
                entries = [entry for entry in page.keys if isinstance(entry, Entry)]
                assert len(entries) == len(page.keys)
                assert len(entries) <= 1 or sum(len(one.value) for one in entries) <= read_bytes
                found += names
                if page.cursor is None:
                    break
                operation = msgspec.structs.replace(operation, cursor=page.cursor)
            assert found == items_of(keys, operation)
