"""Test the store for py-key-value-aio, through its protocols.

The package has no test suite for stores; these tests hold what its documentation promises.
"""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from key_value.aio.errors import DeserializationError, InvalidTTLError, SerializationError
from key_value.aio.protocols.key_value import (
    AsyncDestroyCollectionProtocol,
    AsyncDestroyStoreProtocol,
    AsyncEnumerateCollectionsProtocol,
    AsyncEnumerateKeysProtocol,
    AsyncKeyValueProtocol,
)
from key_value.aio.wrappers.prefix_keys import PrefixKeysWrapper

from extras import install_command
from workertown_kv import AsyncClient
from workertown_kv.client.py_key_value import KeyValueStore
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    async with AsyncClient("memory://") as made:
        yield made


@pytest.fixture
def store(client: AsyncClient) -> KeyValueStore:
    return KeyValueStore(client)


async def test_it_has_the_protocols(store: KeyValueStore) -> None:
    for protocol in (
        AsyncKeyValueProtocol,
        AsyncEnumerateKeysProtocol,
        AsyncEnumerateCollectionsProtocol,
        AsyncDestroyCollectionProtocol,
        AsyncDestroyStoreProtocol,
    ):
        assert isinstance(store, protocol)


async def test_a_value_comes_back_until_it_is_deleted(store: KeyValueStore) -> None:
    assert await store.get("a") is None
    assert await store.ttl("a") == (None, None)
    await store.put("a", {"n": [1, None]})
    assert await store.get("a") == {"n": [1, None]}
    assert await store.ttl("a") == ({"n": [1, None]}, None)
    assert await store.delete("a")
    assert not await store.delete("a")
    assert await store.get("a") is None


async def test_collections_have_their_own_keys(store: KeyValueStore, client: AsyncClient) -> None:
    places = [("a", "b/c"), ("a/b", "c"), ("a%2Fb", "c"), ("..", "/"), ("é", "🗝")]
    for number, (collection, key) in enumerate(places):
        await store.put(key, {"n": number}, collection=collection)
    for number, (collection, key) in enumerate(places):
        assert await store.get(key, collection=collection) == {"n": number}
        assert await store.keys(collection) == [key]
    assert sorted(await store.collections()) == sorted(name for name, _ in places)
    assert await client.get("a%2Fb/c") == {"n": 1}
    assert await store.destroy_collection("a")
    assert not await store.destroy_collection("a")
    assert len(await store.collections(limit=2)) == 2
    assert await store.destroy()
    assert await store.collections() == []


async def test_many_keys_are_read_and_written_together(store: KeyValueStore) -> None:
    await store.put_many(["a", "b"], [{"n": 1}, {"n": 2}], collection="c", ttl=60)
    assert await store.get_many(["b", "none", "a"], collection="c") == [{"n": 2}, None, {"n": 1}]
    (first, none) = await store.ttl_many(["a", "none"], collection="c")
    assert first[0] == {"n": 1}
    assert first[1] is not None
    assert 0 < first[1] <= 60
    assert none == (None, None)
    assert await store.keys("c", limit=1) == ["a"]
    assert await store.delete_many(["a", "none", "b"], collection="c") == 2


async def test_a_value_expires_in_the_store_itself() -> None:

    clock = MovedClock(time.time())
    async with AsyncClient(MemoryStorage(clock=clock)) as client:
        store = KeyValueStore(client, default_collection="c")
        await store.put("a", {"n": 1}, ttl=10.5)
        entry = await client.entry("c/a")
        assert entry is not None
        assert entry.expires_at is not None
        assert entry.expires_at == pytest.approx(clock.now + 10.5, abs=10)
        clock.move(30)
        assert await store.get("a") is None
        with pytest.raises(InvalidTTLError):
            await store.put("a", {"n": 1}, ttl=0)


async def test_wrong_values_raise_the_errors_of_the_protocol(
    store: KeyValueStore, client: AsyncClient
) -> None:
    with pytest.raises(SerializationError, match=r"value\['n'\] is of type complex"):
        await store.put("a", {"n": 1j})
    with pytest.raises(SerializationError, match=r"value\['n'\] is of type complex"):
        await store.put_many(["a"], [{"n": 1j}])
    await client.set("c/a", [1])
    with pytest.raises(DeserializationError, match="is of type list; expected an object"):
        await store.get("a", collection="c")


async def test_a_store_opens_and_closes_its_own_client(tmp_path: Path) -> None:
    async with KeyValueStore(tmp_path / "kv.sqlite") as store:
        await PrefixKeysWrapper(store, prefix="mine").put("a", {"n": 1})
        assert await store.keys() == ["mine__a"]
    async with KeyValueStore(tmp_path / "kv.sqlite") as store:
        assert await store.get("mine__a") == {"n": 1}


def test_without_its_package_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['key_value'] = None\n"
        "try:\n    import workertown_kv.client.py_key_value\n"
        "except Exception as error:\n    print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ran.stdout.endswith(f"not installed: {install_command('py-key-value')}\n")
