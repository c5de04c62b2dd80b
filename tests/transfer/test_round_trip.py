"""Test that an export and an import together change nothing."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfer.files import LIMITS, entries_of, exported, imported, store_of
from workertown_kv import Storage
from workertown_kv.entry import DEFAULT_NAMESPACE
from workertown_kv.errors import InputError, NamespaceIdTaken, StorageUnavailable
from workertown_kv.namespaces import Namespace
from workertown_kv.operations import Batch, Delete, Get, Result, Set
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.testing import MovedClock
from workertown_kv.testing.strategies import JSON_TEXTS, KEYS, ODD_KEYS
from workertown_kv.transfer import reading, writing
from workertown_kv.transfer.forms import BadFile
from workertown_kv.transfer.writing import KeyExists, OnConflict, Tally

pytestmark = pytest.mark.anyio

VALUES = st.tuples(JSON_TEXTS.map(str.encode), st.just(True)) | st.tuples(
    st.binary(), st.just(False)
)
ENTRIES = st.dictionaries(
    KEYS,
    st.tuples(
        VALUES,
        st.none() | st.integers(0, 10**9).map(lambda n: b'{"n":%d}' % n),
        st.none() | st.floats(3e9, 4e9),
    ),
    max_size=12,
)


Fields = tuple[tuple[bytes, bool], bytes | None, float | None]


def write(namespace: str, key: str, fields: Fields) -> Set:
    (value, is_json), metadata, expires_at = fields
    return Set(
        namespace=namespace,
        key=key,
        value=value,
        is_json=is_json,
        metadata=metadata,
        expires_at=expires_at,
    )


@settings(max_examples=25)
@given(ENTRIES, ENTRIES, st.integers(1, 300), st.integers(1, 5))
async def test_an_import_of_an_export_makes_the_same_store(
    of_default: dict[str, Fields], of_other: dict[str, Fields], block_bytes: int, page: int
) -> None:
    first, second = (store_of(MemoryStorage(clock=MovedClock())) for _ in range(2))
    other = await first.namespaces.create('an "odd" title\n')
    await first.namespaces.create("empty")
    for name, entries in ((DEFAULT_NAMESPACE, of_default), (other.name, of_other)):
        for key, fields in entries.items():
            await first.storage.set(write(name, key, fields))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PAGE_ENTRIES", page)
        patch.setattr(writing, "BATCH_ENTRIES", page)
        file = await exported(first)
        tally = await imported(second, file, block_bytes=block_bytes)
    assert tally.written == len(of_default) + len(of_other)
    assert await entries_of(second) == await entries_of(first)
    assert await second.namespaces.all() == await first.namespaces.all()
    assert await exported(second) == file


async def test_the_round_trip_through_a_file_of_sqlite_changes_nothing(
    tmp_path: Path, clock: MovedClock
) -> None:
    first = store_of(SqliteStorage(tmp_path / "first.sqlite", clock=clock))
    second = store_of(SqliteStorage(tmp_path / "second.sqlite", clock=clock))
    for store in (first, second):
        await store.storage.open()
    other = await first.namespaces.create("photos")
    writes = [
        Set(
            namespace=name,
            key=key + str(number),
            value=b"\0\xff" if number % 3 == 0 else b' {"n": 1.50}',
            is_json=number % 3 != 0,
            expires_at=None if number % 2 else clock() + number + 0.125,
        )
        for name in (DEFAULT_NAMESPACE, other.name)
        for key in ODD_KEYS
        for number in range(60)
    ]
    for one in writes[:200]:
        await first.storage.set(one)
    writer = writing.Writer(first.storage)
    await writer.write(writes)
    await writer.finish()
    file = await exported(first)
    tally = await imported(second, file, block_bytes=70_000)
    clock.move(10)
    assert tally.written == len(writes)
    assert await entries_of(second) == await entries_of(first)
    assert json.loads(file.splitlines()[-1])["count"] == len(writes)
    for store in (first, second):
        await store.storage.close()


async def test_entries_that_have_expired_since_the_export_are_left_out(clock: MovedClock) -> None:
    first, second = store_of(MemoryStorage(clock=clock)), store_of(MemoryStorage(clock=clock))
    for key, expires_at in (("a", clock() + 5), ("b", None), ("c", clock() + 0.5)):
        await first.storage.set(
            Set(namespace=DEFAULT_NAMESPACE, key=key, value=b"1", expires_at=expires_at)
        )
    clock.move(1)
    file = await exported(first)
    assert [json.loads(line).get("key") for line in file.splitlines()[2:-1]] == ["a", "b"]
    clock.move(10)
    tally = await imported(second, file)
    assert (tally.written, tally.expired) == (1, 1)


@pytest.mark.parametrize("is_dry_run", [False, True])
async def test_the_key_of_an_entry_may_exist(storage: Storage, is_dry_run: bool) -> None:
    source = store_of(MemoryStorage())
    for key in "abc":
        await source.storage.set(Set(namespace=DEFAULT_NAMESPACE, key=key, value=b"1"))
    file = await exported(source)
    target = store_of(storage)
    await storage.open()

    async def values() -> list[bytes | None]:
        found = [await storage.get(Get(DEFAULT_NAMESPACE, key)) for key in "abc"]
        return [entry.value if entry else None for entry in found]

    await storage.set(Set(namespace=DEFAULT_NAMESPACE, key="b", value=b"0"))
    with pytest.raises(KeyExists, match="'b' exists"):
        await imported(target, file, on_conflict=OnConflict.FAIL, is_dry_run=is_dry_run)
    assert (await values())[1] == b"0"
    for key in "ac":
        await storage.delete(Delete(DEFAULT_NAMESPACE, key))
    tally = await imported(target, file, on_conflict=OnConflict.SKIP, is_dry_run=is_dry_run)
    assert (tally.written, tally.skipped) == (2, 1)
    assert await values() == ([None, b"0", None] if is_dry_run else [b"1", b"0", b"1"])
    tally = await imported(target, file, is_dry_run=is_dry_run)
    assert (tally.written, tally.skipped) == (3, 0)
    assert await values() == ([None, b"0", None] if is_dry_run else [b"1"] * 3)
    await storage.close()


class Failing(MemoryStorage):
    """A storage whose second batch fails or is cancelled, while later batches succeed."""

    def __init__(self, failure: type[BaseException]) -> None:
        super().__init__()
        self._failure = failure
        self._batches = 0

    async def batch(self, operation: Batch) -> Sequence[Result]:
        self._batches += 1
        if self._batches == 2:
            await asyncio.sleep(0)
            raise self._failure("not now")
        return await super().batch(operation)


@pytest.mark.parametrize("failure", [StorageUnavailable, asyncio.CancelledError])
async def test_an_import_leaves_out_nothing_when_it_continues_after_a_failure(
    failure: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BATCH_ENTRIES", 1)
    monkeypatch.setattr(writing, "_UNDER_WAY", 6)
    storage = Failing(failure)
    sets = [Set(namespace=DEFAULT_NAMESPACE, key=key, value=b"1") for key in "abcdef"]
    first = writing.Writer(storage)
    await first.write(sets)
    with pytest.raises(failure):
        await first.finish()
    await first.abort()
    assert (first.tally.written, first.tally.last_key) == (1, "a")
    second = writing.Writer(storage, tally=first.tally)
    await second.write(sets)
    await second.finish()
    found = [await storage.get(Get(DEFAULT_NAMESPACE, one.key)) for one in sets]
    assert None not in found


async def test_of_several_entries_with_a_key_the_last_stays(storage: Storage) -> None:
    await storage.open()
    writer = writing.Writer(storage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "BATCH_ENTRIES", 2)
        await writer.write(
            Set(namespace=DEFAULT_NAMESPACE, key=str(n % 3), value=b"%d" % n) for n in range(100)
        )
        await writer.finish()
    for n in (97, 98, 99):
        entry = await storage.get(Get(DEFAULT_NAMESPACE, str(n % 3)))
        assert entry is not None
        assert entry.value == b"%d" % n
    await storage.close()


async def whole_file() -> bytes:
    store = store_of(MemoryStorage(clock=MovedClock()))
    for key in "ab":
        await store.storage.set(Set(namespace=DEFAULT_NAMESPACE, key=key, value=b"1"))
    return await exported(store)


@pytest.mark.parametrize("block_bytes", [1, 7, 100_000])
async def test_a_file_that_is_not_whole_or_was_changed_is_refused(block_bytes: int) -> None:
    file = await whole_file()
    header, namespace, a, b, end = file.splitlines(keepends=True)
    start = len(header + namespace)
    for bad, message in (
        (b"", "cut off after line 0 (byte 0): its last line is missing"),
        (file[: start + 5], f"Line 3 (from byte {start}): expected an entry"),
        (header + namespace + a, f"cut off after line 3 (byte {start + len(a)})"),
        (file[:-20], "Line 5 (from byte"),
        (header + namespace + a + end, "says that it has 2 entries; it has 1"),
        (file.replace(b'"value": 1', b'"value": 2', 1), "have another SHA-256"),
        (namespace + a + b + end, "Line 1 (from byte 0): expected the beginning of an export"),
        (file + a, "nothing may follow the line with the end"),
        (file + end, "nothing may follow the line with the end"),
        (header + header + a, "Line 2 (from byte 46): there is a second beginning"),
        (header + b"x" * (LIMITS.line_bytes + 1), "the line has more than 2,162,688 bytes"),
    ):
        if len(bad) > 10_000 and block_bytes < 100:
            continue
        with pytest.raises(BadFile) as caught:
            await imported(store_of(MemoryStorage()), bad, block_bytes=block_bytes)
        assert message in caught.value.message
    # Some editors remove the line break at the end.
    store = store_of(MemoryStorage())
    assert (await imported(store, file[:-1], block_bytes=block_bytes)).written == 2


async def test_a_file_that_is_cut_off_is_imported_as_far_as_it_is_there() -> None:
    lines = (await whole_file()).splitlines(keepends=True)
    tally = Tally()
    with pytest.raises(BadFile):
        await imported(store_of(MemoryStorage()), b"".join(lines[:-1]), tally=tally)
    assert (tally.written, tally.last_key) == (2, "b")
    tally = Tally()
    with pytest.raises(BadFile):
        await imported(store_of(MemoryStorage()), b"".join([*lines[:3], b"?\n"]), tally=tally)
    assert (tally.written, tally.last_key) == (1, "a")


async def test_an_import_continues_after_the_entries_that_are_certainly_written() -> None:
    store = store_of(MemoryStorage())
    tally = await imported(store, await whole_file(), tally=Tally(written=1, last_key="a"))
    assert (tally.written, tally.last_key) == (2, "b")
    assert [one.key for one in (await entries_of(store))["0" * 32]] == ["b"]


async def test_a_namespace_is_found_by_its_id_then_by_its_title_or_is_created() -> None:
    source, target = store_of(MemoryStorage()), store_of(MemoryStorage())
    names = {title: await source.namespaces.create(title) for title in ("one", "two", "three")}
    for namespace in names.values():
        await source.storage.set(Set(namespace=namespace.name, key="k", value=b"1"))
    same_id = await target.namespaces.restore(Namespace(names["one"].id, "another title"))
    same_title = await target.namespaces.create("two")
    await imported(target, await exported(source))
    found = {one.id: one.title for one in await target.namespaces.all()}
    del found["0" * 32]
    assert found == {
        same_id.id: "another title",
        same_title.id: "two",
        names["three"].id: "three",
    }
    for id in found:
        assert await target.storage.get(Get(id, "k")) is not None


async def test_a_namespace_that_was_just_deleted_is_not_restored() -> None:
    source, target = store_of(MemoryStorage()), store_of(MemoryStorage())
    namespace = await source.namespaces.create("one")
    file = await exported(source)
    await target.namespaces.restore(namespace)
    await target.namespaces.delete(namespace.id)
    # Its keys are still being removed, and those of the import would be, too.
    with pytest.raises(NamespaceIdTaken, match="was deleted less than an hour ago"):
        await imported(target, file)


async def test_the_entries_of_one_namespace_may_go_into_another() -> None:
    source, target = store_of(MemoryStorage()), store_of(MemoryStorage())
    namespace = await source.namespaces.create("one")
    await source.storage.set(Set(namespace=namespace.name, key="k", value=b"1"))
    into = await target.namespaces.create("two")
    assert (await imported(target, await exported(source), into=into)).written == 1
    assert [one.title for one in await target.namespaces.all()] == ["default", "two"]
    assert await target.storage.get(Get(into.name, "k")) is not None
    await source.storage.set(Set(namespace=DEFAULT_NAMESPACE, key="k", value=b"1"))
    with pytest.raises(InputError, match="the namespaces 'default' and 'one'; expected a single"):
        await imported(target, await exported(source), into=into)
