"""Test that the storages in Cloudflare's bindings keep the contract, apart from what they lack."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from js import Object  # type: ignore[import-not-found]  # only Pyodide has it
from miniflare import KV, RELAYED_D1  # type: ignore[import-not-found]  # `host.mjs` gives them
from pyodide.code import run_js  # type: ignore[import-not-found]  # only Pyodide has it
from pyodide.ffi import to_js  # type: ignore[import-not-found]  # only Pyodide has it

from workertown_kv.errors import (
    InputError,
    KeyTooLong,
    StorageError,
    StorageUnavailable,
    ValueTooLarge,
)
from workertown_kv.operations import Batch, Delete, Get, List
from workertown_kv.storage import SWEEP_MARGIN_SECONDS, Clock, Storage
from workertown_kv.storage.cloudflare import D1BindingStorage, KVBindingStorage
from workertown_kv.testing import MovedClock, StorageConformance
from workertown_kv.testing.conformance.case import value_of
from workertown_kv.testing.conformance.operations import SPACE, put


def emptied(storage: Storage, folder: Path, empty: Callable[[], Awaitable[None]]) -> Storage:
    """Return the storage, which its first opening with this folder empties."""
    opened, open_storage = folder / "opened", storage.open

    async def open_empty() -> Any:
        if not opened.exists():
            opened.touch()
            await empty()
        return await open_storage()

    storage.open = open_empty  # type: ignore[method-assign]  # of this one
    return storage


async def empty_kv() -> None:
    while (page := await KV.list()).keys.length:
        await asyncio.gather(*(KV.delete(one.name) for one in page.keys))


async def empty_d1() -> None:
    tables = ("entry", "entry_migration")
    drops = [RELAYED_D1.prepare(f"DROP TABLE IF EXISTS {table}").bind() for table in tables]
    await RELAYED_D1.batch(to_js(drops))


class TestKV(StorageConformance):
    lacks = KVBindingStorage.lacks
    key_bytes = 512
    examples = 5

    def make(self, clock: Clock, folder: Path) -> Storage:
        return emptied(KVBindingStorage(KV, clock=clock), folder, empty_kv)

    async def test_its_value_is_the_value_and_its_key_the_key(self, storage: Storage) -> None:
        await storage.set(put("a/b", b'{"c": 1.0}', metadata=b'{"d":[1]}'))
        found = await KV.getWithMetadata("a/b")
        assert found.value == '{"c": 1.0}'
        assert found.metadata.metadata.d.to_py() == [1]

    async def test_what_other_programs_wrote_can_be_read(self, storage: Storage) -> None:
        await KV.put(
            "json", "[1]", to_js({"metadata": {"a": 1}}, dict_converter=Object.fromEntries)
        )
        await KV.put(
            "text",
            "hello",
            to_js({"metadata": {"version": "2"}}, dict_converter=Object.fromEntries),
        )
        entry = await storage.get(Get(SPACE, "json"))
        assert entry is not None
        assert (entry.value, entry.is_json, entry.metadata) == (b"[1]", True, b'{"a":1}')
        assert value_of(await storage.get(Get(SPACE, "text"))) == (b"hello", False)
        keys = (await storage.list(List(SPACE, "", 10))).keys
        assert [(one.key, one.version) for one in keys] == [
            ("json", "unknown"),
            ("text", "unknown"),
        ]
        version = entry.version
        await KV.put("json", "[2]")
        entry = await storage.get(Get(SPACE, "json"))
        assert entry is not None
        assert entry.version != version

    @pytest.mark.parametrize(
        "metadata",
        [b'{"a":1.0}', b'{"2":0,"1":0}', b'{"a":"\\u00e9"}', b'{"a":12345678901234567890}'],
    )
    async def test_metadata_that_javascript_would_change_comes_back_as_it_was(
        self, storage: Storage, metadata: bytes
    ) -> None:
        await storage.set(put("a", metadata=metadata))
        entry = await storage.get(Get(SPACE, "a"))
        assert entry is not None
        assert entry.metadata == metadata

    async def test_metadata_has_the_room_that_is_left(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        longest = b'{"a":"' + b"x" * 912 + b'"}'
        assert len(longest) == 920
        await storage.set(
            put("a", metadata=longest, is_json=False, expires_at=clock() + 1_000_000.123)
        )
        with pytest.raises(InputError) as caught:
            await storage.set(put("a", metadata=b'{"a":"' + b"x" * 1000 + b'"}'))
        assert "at most" in caught.value.details[0].message

    async def test_a_lifetime_under_a_minute_is_exact(
        self, storage: Storage, clock: MovedClock
    ) -> None:
        await storage.set(put("a", expires_at=clock() + 1))
        kept = (await KV.list()).keys[0].expiration
        assert kept >= time.time() + 50
        clock.move(1)
        assert await storage.get(Get(SPACE, "a")) is None
        assert not (await storage.list(List(SPACE, "", 10))).keys
        assert await KV.get("a") is not None

    async def test_what_it_cannot_keep_is_refused(self, storage: Storage) -> None:
        with pytest.raises(KeyTooLong):
            await storage.get(Get(SPACE, "é" * 257))
        with pytest.raises(ValueTooLarge):
            await storage.set(put("a", b" " * (25 * 1024 * 1024 + 1), is_json=False))

    async def test_what_is_not_of_the_engine_is_no_cursor(self, storage: Storage) -> None:
        for cursor in ("", "zzz", "e3b0c442"):
            with pytest.raises(InputError):
                await storage.list(List(SPACE, "", 1, cursor))


@pytest.mark.parametrize(
    ("thrown", "unavailable", "kind"),
    [
        ("KV GET failed: 429 Too Many Requests", True, "busy"),
        ("KV GET failed: 403 Forbidden", True, "refused"),
        ("KV GET failed: 500 Internal Server Error", True, "unreachable"),
        ("Network connection lost.", True, "unreachable"),
        ("KV GET failed: 400 Invalid cursor", False, "failed"),
        ("KV PUT failed: 413 Value length exceeds limit", False, "failed"),
        ("D1_ERROR: Network connection lost.", True, "unreachable"),
        ("D1_ERROR: D1 DB is overloaded. Requests queued for too long.", True, "busy"),
        ("D1_ERROR: database is locked: SQLITE_BUSY", True, "busy"),
        ("D1_ERROR: database or disk is full: SQLITE_FULL", True, "full"),
        ("D1_ERROR: attempt to write a readonly database: SQLITE_READONLY", False, "read-only"),
        ("D1_ERROR: string or blob too big: SQLITE_TOOBIG", False, "failed"),
        ("D1_ERROR: no such table: entry: SQLITE_ERROR", False, "removed"),
    ],
)
async def test_what_a_binding_throws_is_an_error_of_ours(
    thrown: str, unavailable: bool, kind: str
) -> None:
    script = "(() => { const fail = async () => { throw new Error(%s); }; return %s; })()"
    storage: Storage
    if thrown.startswith("D1"):
        members = "{ prepare: () => ({ bind: () => ({}) }), batch: fail }"
        storage = D1BindingStorage(run_js(script % (json.dumps(thrown), members)))
        storage._opened = True  # as it was when D1 still answered
    else:
        members = "{ getWithMetadata: fail, put: fail, delete: fail, list: fail }"
        storage = KVBindingStorage(run_js(script % (json.dumps(thrown), members)))
        await storage.open()
    acts: list[Callable[[], Awaitable[object]]] = [
        lambda: storage.get(Get(SPACE, "a")),
        lambda: storage.set(put("a")),
        lambda: storage.delete(Delete(SPACE, "a")),
        lambda: storage.list(List(SPACE, "", 1)),
        storage.check,
        storage.probe,
    ]
    for act in acts:
        with pytest.raises(StorageError) as caught:
            await act()
        assert isinstance(caught.value, StorageUnavailable) is unavailable
        assert caught.value.kind == kind
        assert caught.value.__cause__ is not None
    cursor = "e3b0c442" + "any"
    if "Invalid cursor" in thrown:
        with pytest.raises(InputError):
            await storage.list(List(SPACE, "", 1, cursor))


class TestD1(StorageConformance):
    lacks = D1BindingStorage.lacks
    value_bytes = 1_995_000
    examples = 5

    def make(self, clock: Clock, folder: Path) -> Storage:
        return emptied(D1BindingStorage(RELAYED_D1, clock=clock), folder, empty_d1)

    async def test_the_table_is_that_of_the_sqlite_file(self, storage: Storage) -> None:
        await storage.set(put("a", b"[1]", metadata=b"{}"))
        await storage.set(put("b", b"\xff", is_json=False))
        rows = await _rows(
            "SELECT namespace, key, typeof(value) AS type, metadata FROM entry ORDER BY key"
        )
        assert [(one["key"], one["type"]) for one in rows] == [("a", "text"), ("b", "blob")]
        assert (rows[0]["namespace"], rows[0]["metadata"]) == ("default", "{}")

    async def test_sweeping_removes_the_rows(self, storage: Storage, clock: MovedClock) -> None:
        for i in range(5):
            await storage.set(put(f"{i}", expires_at=clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        assert [await storage.sweep(3), await storage.sweep(3), await storage.sweep(3)] == [3, 2, 0]
        assert (await _rows("SELECT count(*) AS n FROM entry"))[0]["n"] == 0

    async def test_the_largest_row_is_kept_and_a_larger_value_refused(
        self, storage: Storage
    ) -> None:
        value = b'"' + "é".encode() * ((1_995_000 - 2) // 2) + b'"'
        largest = put("é" * 1024, value, metadata=b'{"a":"' + b"x" * 1016 + b'"}')
        await storage.set(largest)
        assert value_of(await storage.get(Get(SPACE, "é" * 1024))) == (value, True)
        with pytest.raises(ValueTooLarge):
            await storage.set(put("a", b" " * 1_995_001, is_json=False))

    async def test_a_batch_of_a_thousand_is_atomic_too(self, storage: Storage) -> None:
        sets = [put(f"{i:04}", str(i).encode()) for i in range(1000)]
        versions = await storage.batch(Batch(sets, atomic=True))
        gets = await storage.batch(Batch([Get(SPACE, one.key) for one in sets], atomic=True))
        assert [getattr(one, "version", None) for one in gets] == versions
        again = await storage.batch(Batch([Get(SPACE, one.key) for one in sets]))
        assert again == gets

    async def test_migrations_can_be_undone_and_run_again(self, storage: Storage) -> None:
        await storage.set(put("a"))
        assert [one.direction for one in await storage.migrate(to=0)] == ["down"]
        with pytest.raises(StorageError):
            await storage.get(Get(SPACE, "a"))
        assert [one.migration for one in await storage.migrate()] == ["0001_entry"]
        assert await storage.get(Get(SPACE, "a")) is None


async def _rows(text: str) -> list[Any]:
    (answer,) = await RELAYED_D1.batch(to_js([RELAYED_D1.prepare(text).bind()]))
    return list(answer.results.to_py())
