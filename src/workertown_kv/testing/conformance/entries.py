"""Test single entries."""

import asyncio

from ...entry import Entry
from ...operations import Delete, Get
from ...storage import Storage
from ..clock import MovedClock
from ..strategies import ODD_KEYS
from .case import StorageCase, value_of
from .operations import SPACE, put


class Entries(StorageCase):
    async def test_what_was_never_set_is_none(self, storage: Storage) -> None:
        assert await storage.get(Get(SPACE, "a")) is None

    async def test_a_set_entry_comes_back_whole(self, storage: Storage, clock: MovedClock) -> None:
        version = await storage.set(
            put("a", b'{"b": [1, 2]}', expires_at=clock() + 5.5, metadata=b'{"c":"d"}')
        )
        assert await storage.get(Get(SPACE, "a")) == Entry(
            key="a",
            value=b'{"b": [1, 2]}',
            is_json=True,
            version=version,
            expires_at=clock() + 5.5,
            metadata=b'{"c":"d"}',
        )

    async def test_json_comes_back_byte_for_byte(self, storage: Storage) -> None:
        for value in (
            b"null",
            b"0",
            b'""',
            b" 1e999 ",
            '"é\U0001f600"'.encode(),
            b'"\\u0000"',
            b"[" * 400 + b"]" * 400,
        ):
            await storage.set(put("a", value))
            assert value_of(await storage.get(Get(SPACE, "a"))) == (value, True)

    async def test_bytes_that_are_not_json_stay_so(self, storage: Storage) -> None:
        for value in (b"", b"\0", b"\xff\xfe", b"1", bytes(range(256))):
            await storage.set(put("a", value, is_json=False))
            assert value_of(await storage.get(Get(SPACE, "a"))) == (value, False)

    async def test_a_set_replaces_the_whole_entry(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        first = await storage.set(
            put("a", b"x", is_json=False, expires_at=clock() + 5, metadata=b"{}")
        )
        second = await storage.set(put("a", b"2"))
        assert first != second
        assert await storage.get(Get(SPACE, "a")) == Entry(key="a", value=b"2", version=second)

    async def test_a_deleted_entry_is_gone(self, storage: Storage) -> None:
        await storage.set(put("a"))
        await storage.delete(Delete(SPACE, "a"))
        assert await storage.get(Get(SPACE, "a")) is None

    async def test_deleting_nothing_is_harmless(self, storage: Storage) -> None:
        await storage.delete(Delete(SPACE, "a"))

    async def test_no_version_is_used_twice(self, storage: Storage) -> None:
        versions = []
        for _ in range(20):
            versions.append(await storage.set(put("a")))
            await storage.delete(Delete(SPACE, "a"))
        versions += await asyncio.gather(*(storage.set(put(f"b{i % 3}")) for i in range(50)))
        assert len(set(versions)) == 70

    async def test_keys_are_compared_byte_for_byte(self, storage: Storage) -> None:
        for key in ODD_KEYS:
            await storage.set(put(key, repr(key).encode(), is_json=False))
        for key in ODD_KEYS:
            entry = await storage.get(Get(SPACE, key))
            assert entry is not None
            assert (entry.key, entry.value) == (key, repr(key).encode())

    async def test_the_longest_key_is_kept(self, storage: Storage) -> None:
        most = self.key_bytes
        keys = ["é" * (most // 2), "é" * (most // 2 - 1) + "ab", "a" * most, "a" * (most - 1) + "b"]
        for key in keys:
            await storage.set(put(key, key.encode(), is_json=False))
        for key in keys:
            assert value_of(await storage.get(Get(SPACE, key))) == (key.encode(), False)

    async def test_the_largest_value_is_kept(self, storage: Storage) -> None:
        text = b'"' + b"x" * (self.value_bytes - 2) + b'"'
        await storage.set(put("a", text))
        value, is_json = value_of(await storage.get(Get(SPACE, "a")))
        assert is_json
        assert value == text

    async def test_a_reader_never_sees_half_of_a_write(self, storage: Storage) -> None:
        values = {bytes([letter]) * 300_000 for letter in b"abc"}
        await storage.set(put("a", b"a" * 300_000, is_json=False))
        writing = asyncio.gather(
            *(storage.set(put("a", value, is_json=False)) for value in values for _ in range(3))
        )
        while not writing.done():
            assert value_of(await storage.get(Get(SPACE, "a")))[0] in values
            await asyncio.sleep(0)
        await writing
