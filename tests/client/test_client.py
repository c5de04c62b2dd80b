"""Test what a client does, on each kind of store."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from workertown_kv import AsyncClient, Client, KvError
from workertown_kv.client import Entry
from workertown_kv.errors import (
    Conflict,
    InputError,
    KeyNotFound,
    NamespaceNotFound,
    PatchConflict,
    PreconditionFailed,
)

FAR = 4_000_000_000


def test_a_value_comes_back_as_it_was_set(store: Client) -> None:
    values: list[Any] = [
        None,
        True,
        0,
        -1.5,
        "dark",
        "",
        "\0\n🗝",
        [],
        {},
        {"a": [1, {"b": None}]},
        b"",
        b"\0\xff",
    ]
    for value in values:
        store.set("theme", value)
        found = store.get("theme", "none")
        assert found == value
        assert type(found) is type(value)


def test_a_key_without_a_value_has_the_default(store: Client) -> None:
    assert store.get("theme") is None
    assert store.get("theme", default=5) == 5
    assert store.entry("theme") is None
    assert not store.exists("theme")


def test_an_entry_has_the_value_version_metadata_and_expiry(store: Client) -> None:
    version = store.set("theme", "dark", expires_at=FAR + 0.25, metadata={"by": "ada"})
    assert store.entry("theme") == Entry(
        key="theme", value="dark", version=version, expires_at=FAR + 0.25, metadata={"by": "ada"}
    )


def test_a_write_with_a_version_needs_that_version(store: Client) -> None:
    first = store.set("theme", 1)
    second = store.set("theme", 2, if_version=first)
    assert second != first
    attempts: list[Callable[[], object]] = [
        lambda: store.set("theme", 3, if_version=first),
        lambda: store.delete("theme", if_version=first),
        lambda: store.touch("theme", ttl=60, if_version=first),
        lambda: store.take("theme", if_version=first),
        lambda: store.increment("theme", if_version=first),
        lambda: store.patch("theme", 3, if_version=first),
        lambda: store.set("theme", 3, create=True),
    ]
    for attempt in attempts:
        with pytest.raises(PreconditionFailed):
            attempt()
    assert store.entry("theme") == Entry(key="theme", value=2, version=second)


def test_a_write_that_only_creates_replaces_nothing(store: Client) -> None:
    store.set("theme", 1, create=True)
    with pytest.raises(PreconditionFailed):
        store.set("theme", 2, create=True)
    assert store["theme"] == 1


def test_a_deleted_key_has_no_value(store: Client) -> None:
    store.set("theme", 1)
    store.delete("theme")
    store.delete("theme")
    assert store.get("theme") is None


def test_a_touch_changes_only_the_lifetime(store: Client) -> None:
    version = store.set("theme", "dark", metadata={"a": 1})
    assert store.touch("theme", expires_at=FAR)
    touched = Entry(key="theme", value="dark", version=version, expires_at=FAR, metadata={"a": 1})
    assert store.entry("theme") == touched
    assert store.touch("theme", expires_at=None)
    entry = store.entry("theme")
    assert entry is not None
    assert entry.expires_at is None
    assert not store.touch("none", ttl=60)


def test_numbers_are_counted_exactly(store: Client) -> None:
    assert store.increment("hits") == 1
    assert store.increment("hits", 2) == 3
    assert store.increment("hits", Decimal("0.1")) == 3.1
    assert store.increment("stock", -1, initial=5, min=0) == 4
    with pytest.raises(PatchConflict, match="below min 0"):
        store.increment("stock", -5, min=0)
    with pytest.raises(InputError, match="max is 3; expected at least as much as min, which is 5"):
        store.increment("stock", min=5, max=3)
    store.increment("window", expires_at=FAR)
    store.increment("window", expires_at=FAR + 1)
    entry = store.entry("window")
    assert entry is not None
    assert (entry.value, entry.expires_at) == (2, FAR)


def test_a_value_is_taken_once(store: Client) -> None:
    store.set("job", {"n": 1})
    assert store.take("job") == {"n": 1}
    assert store.take("job") is None
    assert store.take("job", default="none") == "none"
    store.set("job", b"\xff")
    assert store.take("job") == b"\xff"


def test_a_patch_changes_a_part_of_a_value(store: Client) -> None:
    store.set("cart", {"a": 1, "b": 2})
    assert store.patch("cart", {"b": None, "c": [3]}) == {"a": 1, "c": [3]}
    added = [{"op": "add", "path": "/c/0", "value": 0}]
    assert store.patch("cart", json_patch=added) == {"a": 1, "c": [0, 3]}
    with pytest.raises(PatchConflict, match="Operation 0 cannot be done"):
        store.patch("cart", json_patch=[{"op": "test", "path": "/a", "value": 2}])
    with pytest.raises(KeyNotFound):
        store.patch("none", {"a": 1})


def test_an_update_writes_what_the_function_returns(store: Client) -> None:
    assert store.update("cart", lambda cart: cart | {"n": 1}, {}) == {"n": 1}
    store.set("cart", {"n": 1}, expires_at=FAR, metadata={"by": "ada"})
    assert store.update("cart", lambda cart: cart | {"m": 2}) == {"n": 1, "m": 2}
    entry = store.entry("cart")
    assert entry is not None
    assert (entry.value, entry.expires_at) == ({"n": 1, "m": 2}, FAR)
    assert entry.metadata == {"by": "ada"}
    store.update("cart", lambda _: 1, expires_at=None, metadata=None)
    entry = store.entry("cart")
    assert entry is not None
    assert (entry.value, entry.expires_at, entry.metadata) == (1, None, None)


def test_an_update_whose_function_fails_writes_nothing(store: Client) -> None:
    version = store.set("cart", 1)
    with pytest.raises(ZeroDivisionError):
        store.update("cart", lambda cart: cart / 0)
    entry = store.entry("cart")
    assert entry is not None
    assert entry.version == version


def test_an_update_begins_again_when_another_write_was_faster(store: Client) -> None:
    seen = []

    def add(cart: list[int]) -> list[int]:
        seen.append(cart)
        if len(seen) == 1:
            store.set("cart", [1])
        return [*cart, 2]

    store.set("cart", [0])
    assert store.update("cart", add) == [1, 2]
    assert seen == [[0], [1]]


def test_a_default_that_the_function_changes_is_new_for_each_try(store: Client) -> None:
    tries = []

    def add(cart: list[int]) -> list[int]:
        cart.append(1)
        tries.append(len(cart))
        if len(tries) == 1:
            store.set("cart", [])
            store.delete("cart")
            store.set("cart", [5])
        return cart

    default: list[int] = []
    assert store.update("cart", add, default) == [5, 1]
    assert (tries, default) == ([1, 2], [])


def test_updates_of_many_threads_all_count(store: Client) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: store.update("n", lambda n: n + 1, 0), range(20)))
    assert store["n"] == 20


def test_a_listing_reads_all_pages(store: Client) -> None:
    with store.batch() as batch:
        for number in range(1003):
            batch.set(f"n/{number:04}", number)
    entries = list(store.list("n/"))
    assert [entry.key for entry in entries] == [f"n/{number:04}" for number in range(1003)]
    assert entries[0].value is UNSET
    assert [entry.value for entry in store.list("n/", values=True)] == list(range(1003))
    assert next(iter(store.list("n/", reverse=True))).key == "n/1002"
    assert [entry.key for entry in store.list("n/", start_after="n/1001")] == ["n/1002"]
    assert list(store.list("none")) == []


def test_a_listing_may_be_left(store: Client) -> None:
    store.set("a", 1)
    store.set("b", 2)
    for entry in store.list():
        assert entry.key == "a"
        break
    assert list(store) == ["a", "b"]


def test_folders_are_what_keys_have_in_common(store: Client) -> None:
    for key in ("a/1", "a/2", "a/b/3", "c", "d/4"):
        store.set(key, 1)
    assert list(store.folders()) == ["a/", "d/"]
    assert list(store.folders("a/")) == ["a/b/"]
    assert list(store.folders(reverse=True)) == ["d/", "a/"]


def test_keys_are_deleted_by_their_prefix(store: Client) -> None:
    for key in ("a/1", "a/2", "b"):
        store.set(key, 1)
    assert store.delete_prefix("a/") == 2
    assert list(store) == ["b"]
    with pytest.raises(InputError, match="all=True"):
        store.delete_prefix("")
    assert store.delete_prefix("", all=True) == 1


def test_a_client_has_the_manners_of_a_mapping(store: Client) -> None:
    store["theme"] = None
    assert "theme" in store
    assert store["theme"] is None
    del store["theme"]
    assert "theme" not in store
    with pytest.raises(KeyError, match="There is no value under 'theme'"):
        store["theme"]
    with pytest.raises(KeyError):
        del store["theme"]
    assert isinstance(KeyNotFound("x"), KvError)


def test_namespaces_have_their_own_keys(client: Client, store: Client) -> None:
    store["theme"] = "dark"
    other = client.namespace(f"beside {store['theme']} {id(store)}", create=True)
    other["theme"] = "light"
    assert (store["theme"], other["theme"]) == ("dark", "light")
    with pytest.raises(NamespaceNotFound, match="'none'"):
        client.namespace("none").get("theme")


def test_a_batch_returns_the_result_of_each_operation(store: Client) -> None:
    store.set("a", 1)
    with store.batch() as batch:
        got = batch.get("a")
        missing = batch.get("none", default="?")
        version = batch.set("b", b"\0", metadata={"x": 1})
        entry = batch.entry("b")
        touched = batch.touch("none", ttl=60)
        count = batch.increment("a", 4)
        patched = batch.patch("a", {"n": 1})
        taken = batch.take("a")
        gone = batch.take("a", default="gone")
        exists = batch.exists("a")
        batch.delete("none")
    assert (got.result(), missing.result()) == (1, "?")
    assert entry.result() == Entry(
        key="b", value=b"\0", version=version.result(), metadata={"x": 1}
    )
    assert not touched.result()
    assert (count.result(), patched.result(), taken.result()) == (5, {"n": 1}, {"n": 1})
    assert (gone.result(), exists.result()) == ("gone", False)


def test_a_batch_raises_the_first_error_and_does_the_rest(store: Client) -> None:
    store.set("a", "text")
    with pytest.raises(PatchConflict) as raised, store.batch() as batch:  # noqa: PT012
        batch.set("b", 1)
        failed = batch.increment("a")
        batch.set("c", 1)
    assert raised.value.__notes__ == ["operation 1 of the batch, key 'a'"]
    assert list(store) == ["a", "b", "c"]
    with pytest.raises(PatchConflict):
        failed.result()


def test_an_atomic_batch_does_all_or_nothing(store: Client) -> None:
    store.set("a", 1)
    with pytest.raises(Conflict) as raised, store.batch(atomic=True) as batch:  # noqa: PT012
        batch.set("b", 1)
        batch.set("a", 2, create=True)
    assert raised.value.failed == (1,)
    assert list(store) == ["a"]
    with store.batch(atomic=True) as batch:
        batch.set("b", 1)
        batch.set("a", 2)
    assert (store["a"], store["b"]) == (2, 1)


def test_a_batch_whose_block_fails_is_not_sent(store: Client) -> None:
    with pytest.raises(ZeroDivisionError), store.batch() as batch:  # noqa: PT012
        batch.set("a", 1)
        1 / 0  # noqa: B018
    assert list(store) == []


def test_reads_that_are_too_large_for_one_batch_are_divided(store: Client) -> None:
    large = "x" * (12 * 1024 * 1024)
    with store.batch() as batch:
        for key in "abc":
            batch.set(key, large)
    with store.batch() as batch:
        found = [batch.get(key) for key in "abcd"]
    assert [one.result() == large for one in found] == [True, True, True, False]


def test_keys_are_any_text(store: Client) -> None:
    keys = ("..", "a/../b", "/", "a//b", "a/", " ", "%2F", "a?b#c", "é", "e\u0301", "🗝", "\0", "\n")
    for number, key in enumerate(keys):
        store.set(key, number)
    assert [store.get(key) for key in keys] == list(range(len(keys)))
    assert sorted(store) == sorted(keys)


def test_watching_begins_with_what_is_there(store: Client) -> None:
    version = store.set("flags/a", True)
    store.set("other", 1)
    changes = store.watch("flags/", "more/", initial=True, values=True)
    first = next(changes)
    assert (first.event, first.key, first.value, first.version) == ("set", "flags/a", True, version)
    assert next(changes).event == "ready"
    store.set("other", 2)
    store.set("more/b", b"\xff", metadata={"a": 1})
    store.touch("more/b", expires_at=FAR)
    store.delete("flags/a")
    seen = [next(changes) for _ in range(3)]
    assert [(one.event, one.key) for one in seen] == [
        ("set", "more/b"),
        ("touch", "more/b"),
        ("delete", "flags/a"),
    ]
    assert (seen[0].value, seen[0].metadata) == (b"\xff", {"a": 1})
    assert seen[1].expires_at == FAR
    changes.close()


def test_the_async_client_awaits(client: Client, store: Client) -> None:
    """The methods are the same; this tests what only coroutines can do."""
    at = client.core

    async def use() -> Any:
        mine = at.namespace("async", create=True)
        await asyncio.gather(*(mine.set(f"n/{number}", number) for number in range(100)))
        got = await asyncio.gather(*(mine.get(f"n/{number}") for number in range(100)))

        async def add(old: int) -> int:
            await asyncio.sleep(0)
            return old + 1

        await mine.update("n/0", add)
        async with mine.batch() as batch:
            first = batch.get("n/0")
        keys = [key async for key in mine]
        return got, first.result(), keys, [entry.key async for entry in mine.list("n/9")]

    got, first, keys, listed = client.run(use())
    assert got == list(range(100))
    assert first == 1
    assert len(keys) == 100
    assert listed == sorted(["n/9", *(f"n/9{number}" for number in range(10))])
    assert isinstance(at, AsyncClient)
