"""Test that CloudflareKVStorage keeps the contract, with this server's own REST API."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import httpx2
import pytest

from caller import API_KEY, Caller, until_status
from servers.cloudflare import new_namespace, served, storage_at
from workertown_kv import kv
from workertown_kv.entry import MAX_EXPIRES_AT, Entry
from workertown_kv.errors import InputError, KeyTooLong, ValueTooLarge
from workertown_kv.operations import Batch, Delete, DeletePrefix, Get, List, Operation
from workertown_kv.storage import Clock, Storage
from workertown_kv.storage.cloudflare_kv import CloudflareKVStorage
from workertown_kv.testing import MovedClock, ServedStore, StorageConformance
from workertown_kv.testing.conformance.case import value_of
from workertown_kv.testing.conformance.operations import SPACE, put
from workertown_kv.testing.strategies import ODD_KEYS

pytestmark = pytest.mark.anyio

_NUMBERS = count()


@pytest.fixture(scope="module")
def store() -> Iterator[ServedStore]:
    with served() as store:
        yield store


@pytest.mark.deep
class TestCloudflareKVStorage(StorageConformance):
    lacks = CloudflareKVStorage.lacks
    key_bytes = 512
    examples = 5

    @pytest.fixture(autouse=True)
    def at(self, store: ServedStore) -> None:
        self.store = store
        self.namespaces: dict[Path, str] = {}

    def make(self, clock: Clock, folder: Path) -> Storage:
        namespace = self.namespaces.get(folder)
        if namespace is None:
            namespace = self.namespaces[folder] = new_namespace(self.store, str(folder))
        return storage_at(self.store.url, clock, namespace=namespace)


@pytest.fixture
def namespace(store: ServedStore) -> str:
    return new_namespace(store, f"namespace {next(_NUMBERS)}")


@pytest.fixture
async def storage(
    store: ServedStore, namespace: str, clock: MovedClock
) -> AsyncIterator[CloudflareKVStorage]:
    storage = storage_at(store.url, clock, namespace=namespace)
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
def raw(store: ServedStore, namespace: str) -> Iterator[httpx2.Client]:
    """Return a client of the REST API that knows nothing of the layout."""
    below = f"{store.url}/client/v4/accounts/any/storage/kv/namespaces/{namespace}"
    with httpx2.Client(base_url=below, headers=store.headers) as client:
        yield client


async def keys_of(storage: Storage, prefix: str, limit: int) -> list[str]:
    keys: list[str] = []
    cursor = None
    for _ in range(1000):
        page = await storage.list(List(SPACE, prefix, limit, cursor))
        assert len(page.keys) <= limit
        keys += [info.key for info in page.keys]
        cursor = page.cursor
        if cursor is None:
            return keys
    raise AssertionError("The listing does not end")


# Entries


async def test_every_odd_key_has_any_value(storage: CloudflareKVStorage) -> None:
    values = [b"null", b" 1e999 ", b"", b"\0", b"\xff\xfe", "�\ufeff".encode(), bytes(range(256))]
    for number, key in enumerate(ODD_KEYS):
        value = values[number % len(values)]
        entry = put(key, value, is_json=number % len(values) < 2, metadata=b'{"k":1.0}')
        version = await storage.set(entry)
        assert await storage.get(Get(SPACE, key)) == entry.entry(version)
    assert await keys_of(storage, "", 7) == sorted(ODD_KEYS, key=str.encode)
    assert await keys_of(storage, "a\0", 1000) == ["a\0b"]
    await storage.delete(Delete(SPACE, "."))
    await storage.delete(Delete(SPACE, "."))
    assert await storage.get(Get(SPACE, ".")) is None
    assert await storage.get(Get(SPACE, "..")) is not None


async def test_a_batch_does_its_operations_in_order(storage: CloudflareKVStorage) -> None:
    long = put("é" * 257)
    operations: list[Operation] = [
        *(put(f"{i}", value) for i, value in enumerate([b"0", b"\xff", b"2"])),
        put("0", b"again"),
        Get(SPACE, "0"),
        Get(SPACE, "0"),
        Get(SPACE, long.key),
        Get(SPACE, "1"),
        Delete(SPACE, "0"),
        Delete(SPACE, long.key),
        Delete(SPACE, "2"),
        put("3", b"3"),
        long,
        put("4", b"4"),
        *(Get(SPACE, f"{i}") for i in range(5)),
    ]
    results = await storage.batch(Batch(operations))
    assert [one.value if isinstance(one, Entry) else type(one) for one in results] == [
        *(str, str, str, str, b"again", b"again", KeyTooLong, b"\xff"),
        *(type(None), KeyTooLong, type(None), str, KeyTooLong, str),
        *(type(None), b"\xff", type(None), b"3", b"4"),
    ]


async def test_operations_that_arrive_together_keep_their_order_and_their_errors(
    storage: CloudflareKVStorage,
) -> None:
    written = await asyncio.gather(
        *(storage.set(put(f"{i % 20}", b"%d" % i)) for i in range(60)),
        storage.set(put("é" * 257)),
        return_exceptions=True,
    )
    assert [type(one) for one in written] == [*[str] * 60, KeyTooLong]
    found = await asyncio.gather(*(storage.get(Get(SPACE, f"{i}")) for i in range(21)))
    versions = [None if entry is None else entry.version for entry in found]
    assert versions[:20] == written[40:60]
    assert versions[20] is None


async def test_a_short_lifetime_is_exact_and_a_very_long_one_is_kept(
    storage: CloudflareKVStorage, clock: MovedClock, raw: httpx2.Client
) -> None:
    await storage.set(put("short", expires_at=clock() + 1.5))
    await storage.set(put("long", expires_at=MAX_EXPIRES_AT))
    await storage.batch(
        Batch([put(f"in bulk {i}", expires_at=clock() + 0.5 + i) for i in range(2)])
    )
    left = float(raw.get("/values/short").headers["expiration"])
    assert left >= raw_now(raw) + 60
    assert "expiration" not in raw.get("/values/long").headers
    clock.move(1.5)
    assert await storage.get(Get(SPACE, "short")) is None
    assert await keys_of(storage, "", 1) == ["long"]
    entry = await storage.get(Get(SPACE, "long"))
    assert entry is not None
    assert entry.expires_at == MAX_EXPIRES_AT


def raw_now(raw: httpx2.Client) -> float:
    """Return the time of the server, by the shortest lifetime that it takes."""
    raw.put("/values/now", params={"expiration_ttl": "60"}, content=b"1")
    expires_at = float(raw.get("/values/now").headers["expiration"])
    raw.delete("/values/now")
    return expires_at - 61


async def test_what_workers_kv_cannot_keep_is_refused(storage: CloudflareKVStorage) -> None:
    with pytest.raises(ValueTooLarge, match="26,214,400"):
        await storage.set(put("a", b" " * (25 * 1024 * 1024 + 1)))
    with pytest.raises(KeyTooLong, match="512"):
        await storage.get(Get(SPACE, "a" * 513))
    metadata = b'{"a":"' + b"x" * 1000 + b'"}'
    with pytest.raises(InputError) as caught:
        await storage.set(put("a", metadata=metadata))
    assert "at most" in caught.value.details[0].message
    assert not (await storage.list(List(SPACE, "x" * 513, 10))).keys


@pytest.mark.parametrize("metadata", [b'{"a":1.0}', b'{"2":0,"1":0}', b'"text"', b"[1,2]", b"5"])
async def test_metadata_comes_back_as_it_was(storage: CloudflareKVStorage, metadata: bytes) -> None:
    await storage.set(put("a", metadata=metadata))
    await storage.batch(Batch([put("b", metadata=metadata), put("c")]))
    for key in "ab":
        entry = await storage.get(Get(SPACE, key))
        assert entry is not None
        assert entry.metadata == metadata
    assert [one.metadata for one in (await storage.list(List(SPACE, "", 3))).keys] == [
        metadata,
        metadata,
        None,
    ]


# Other programs


async def test_other_programs_read_keys_and_values_as_they_are(
    storage: CloudflareKVStorage, raw: httpx2.Client
) -> None:
    version = await storage.set(put("a/b", b'{"c": 1.0}', metadata=b'{"d":[1]}'))
    assert raw.get("/values/a%2Fb").content == b'{"c": 1.0}'
    assert raw.get("/metadata/a%2Fb").json()["result"] == {
        "version": version,
        "metadata": {"d": [1]},
    }


async def test_it_reads_the_entries_of_other_programs(
    storage: CloudflareKVStorage, raw: httpx2.Client, clock: MovedClock
) -> None:
    clock.move(time.time() - clock())
    values = {"json": b"[1]", "text": b"hello", "bytes": b"\x00\xff", "replaced": b"\xef\xbf\xbd"}
    for key, value in values.items():
        metadata = json.dumps([key]).encode()
        ttl = {"expiration_ttl": "600"} if key != "json" else {}
        form = {"value": ("value", value), "metadata": ("metadata", metadata)}
        assert raw.put(f"/values/{key}", params=ttl, files=form).status_code == 200
    assert raw.put("/values/bare", content=b"{}").status_code == 200
    found = await storage.batch(Batch([Get(SPACE, key) for key in (*values, "bare")]))
    assert [value_of(one) for one in found] == [
        *((value, key == "json") for key, value in values.items()),
        (b"{}", True),
    ]
    page = (await storage.list(List(SPACE, "", 10))).keys
    infos = {info.key: info for info in page}
    for key in values:
        entry = await storage.get(Get(SPACE, key))
        assert entry is not None
        assert entry.metadata == infos[key].metadata == json.dumps([key]).encode()
        assert entry.expires_at == infos[key].expires_at
        assert (entry.expires_at is None) == (key == "json")
    assert {info.version for info in page} == {"unknown"}
    before = await storage.get(Get(SPACE, "json"))
    raw.put("/values/json", content=b"[2]")
    after = await storage.get(Get(SPACE, "json"))
    assert before is not None
    assert after is not None
    assert before.version != after.version


# Listings


@pytest.mark.parametrize("limit", [1, 3, 10, 11, 1000])
async def test_pages_of_any_size_neither_repeat_nor_skip(
    storage: CloudflareKVStorage, clock: MovedClock, limit: int
) -> None:
    sets = [
        put(f"k{i:03}", expires_at=clock() + (1 if 20 <= i < 45 or i % 5 == 0 else 9))
        for i in range(60)
    ]
    await storage.batch(Batch([*sets, put("other")]))
    clock.move(1)
    alive = [f"k{i:03}" for i in range(60) if i % 5 and not 20 <= i < 45]
    assert await keys_of(storage, "k", limit) == alive
    counts = []
    operation = DeletePrefix(SPACE, "k", limit)
    for _ in range(100):
        deletion = await storage.delete_prefix(operation)
        counts.append(deletion.deleted)
        if deletion.cursor is None:
            break
        operation = DeletePrefix(SPACE, "k", limit, deletion.cursor)
    assert sum(counts) == len(alive)
    assert await keys_of(storage, "", 5) == ["other"]


async def test_entries_are_listed_with_their_values_as_far_as_these_fit(
    storage: CloudflareKVStorage,
) -> None:
    sets = [put(f"{i:03}", b"%d" % i * 100, is_json=False) for i in range(130)]
    await storage.batch(Batch(sets))
    for read_bytes in (1, 5000, 10**6):
        entries: list[Entry] = []
        operation = List(SPACE, "", 1000)
        for _ in range(1000):
            page = await storage.list_entries(operation, read_bytes)
            some = [one for one in page.keys if isinstance(one, Entry)]
            assert some
            assert len(some) == 1 or sum(len(one.value) for one in some) <= read_bytes
            entries += some
            if page.cursor is None:
                break
            operation = List(SPACE, "", 1000, page.cursor)
        assert [(one.key, one.value) for one in entries] == [(one.key, one.value) for one in sets]


@pytest.mark.parametrize("cursor", ["", "zzz", "e3b0c442", "e3b0c442zzz", 'e3b0c442["zzz",""]'])
async def test_only_its_own_cursors_continue_a_listing(
    storage: CloudflareKVStorage, cursor: str
) -> None:
    with pytest.raises(InputError):
        await storage.list(List(SPACE, "", 1, cursor))


# A server


async def test_a_server_over_it_gives_clients_values(store: ServedStore, namespace: str) -> None:
    environment = {
        "KV_DB": f"cloudflare-kv://any/{namespace}?endpoint={store.url}",
        "CLOUDFLARE_API_TOKEN": store.headers["Authorization"].removeprefix("Bearer "),
    }
    async with kv(get_env=lambda: environment, auth={"api_key": {"api_key": API_KEY}}) as server:
        call = Caller(server)
        etag = (await call.put("theme", "dark", metadata={"by": "ada"}, ttl=5)).headers["etag"]
        got = await call("GET", "/v1/kv/theme")
        assert (got.json()["data"], got.headers["etag"]) == ("dark", etag)
        assert got.headers["x-kv-metadata"] == '{"by":"ada"}'
        listed = await call.data("GET", "/v1/kv?values=true")
        assert [(one["key"], one["value"]) for one in listed["keys"]] == [("theme", "dark")]
        refused = await call("PUT", "/v1/kv/theme", json={"value": 1}, headers={"If-Match": etag})
        assert refused.status_code == 501
        assert "Workers KV" in refused.json()["error"]
        for path in ("/v1/kv?reverse=true", "/v1/kv?namespace=other", "/v1/changes"):
            assert (await call("GET", path)).status_code in (404, 501)
        await until_status(lambda: call("GET", "/health"), 200)
        assert environment["CLOUDFLARE_API_TOKEN"] not in (await call("GET", "/admin/info")).text
