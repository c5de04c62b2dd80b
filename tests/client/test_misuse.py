"""Test that wrong use of a client raises errors that say what would be right."""

import asyncio
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from workertown_kv import AsyncClient, Client, OptionsError
from workertown_kv.errors import (
    ClientError,
    InputError,
    KeyTooLong,
    StorageUnavailable,
    ValueTooLarge,
)
from workertown_kv.options import LimitsOptions
from workertown_kv.storage import Migration
from workertown_kv.storage.memory import MemoryStorage


def test_a_closed_client_says_so() -> None:
    store = Client("memory://")
    store.set("a", 1)
    store.close()
    store.close()
    for use in (lambda: store["a"], lambda: list(store), lambda: next(store.watch())):
        with pytest.raises(ClientError, match="The client is closed; make another one"):
            use()


@pytest.mark.anyio
async def test_a_closed_async_client_says_so() -> None:
    store = AsyncClient("memory://")
    await store.close()
    with pytest.raises(ClientError, match="The client is closed; make another one"):
        await store.get("a")


@pytest.mark.anyio
async def test_a_client_that_is_closed_while_it_opens_leaves_nothing_open() -> None:
    class Slow(MemoryStorage):
        opened = 0

        async def open(self) -> Sequence[Migration]:
            await may_open.wait()
            self.opened += 1
            return await super().open()

        async def close(self) -> None:
            self.opened -= 1
            await super().close()

    may_open, storage = asyncio.Event(), Slow()
    store = AsyncClient(storage)
    getting = asyncio.ensure_future(store.get("a"))
    await asyncio.sleep(0)
    await store.close()
    may_open.set()
    with pytest.raises(ClientError, match="The client is closed; make another one"):
        await getting
    assert storage.opened == 0


def test_a_client_that_cannot_start_its_thread_says_so_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    store = Client("memory://")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(ClientError, match="cannot start its thread: can't start new"):
                store.get("a")
    with store:
        store["a"] = 1
        assert store["a"] == 1


def test_closing_ends_a_watch_in_another_thread() -> None:
    store = Client("memory://")
    changes = store.watch(initial=True)
    assert next(changes).event == "ready"
    ended: list[object] = []
    watching = threading.Thread(target=lambda: ended.extend([*changes, "ended"]))
    watching.start()
    store.close()
    watching.join(60)
    assert ended == ["ended"]


def test_a_client_of_another_namespace_does_not_close_the_store() -> None:
    with Client("memory://") as store:
        with store.namespace("default") as same:
            same["a"] = 1
        assert store["a"] == 1


@pytest.mark.anyio
async def test_a_client_works_inside_a_coroutine() -> None:
    """As in a notebook, where an event loop always runs."""
    with Client("memory://") as store:
        store["a"] = 1
        assert store["a"] == 1


def test_the_function_of_an_update_may_use_the_client() -> None:
    with Client("memory://") as store:
        store["price"] = 3
        assert store.update("total", lambda total: total + store["price"], 1) == 4


def test_a_client_that_is_called_on_its_own_event_loop_says_what_to_use() -> None:
    async def use() -> object:
        return store.get("a")

    with Client("memory://") as store, pytest.raises(ClientError, match="use AsyncClient"):
        store.run(use())


def test_an_async_client_stays_on_its_event_loop() -> None:
    store = AsyncClient("memory://")
    asyncio.run(store.set("a", 1))
    with pytest.raises(ClientError, match="make an AsyncClient on each event loop, or use Client"):
        asyncio.run(store.get("a"))


def _use(store: Client) -> None:
    with pytest.raises(ClientError, match="make a Client in each process"):
        store.get("a")
    store.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_client_says_that_its_process_was_forked() -> None:
    with Client("memory://") as store:
        store["a"] = 1
        child = multiprocessing.get_context("fork").Process(target=_use, args=[store])
        child.start()
        child.join(60)
        assert child.exitcode == 0


def test_a_client_that_nobody_closes_ends_with_the_process(tmp_path: Path) -> None:
    # In development mode, asyncio also warns of a callback that a busy machine made slow.
    program = (
        "import logging; logging.getLogger('asyncio').setLevel(logging.ERROR)\n"
        "from workertown_kv import Client\n"
        "store = Client('kv.sqlite'); store['a'] = 1; print(store['a'])\n"
        "changes = store.watch(initial=True); print(next(changes).key)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert (ran.stdout, ran.stderr) == ("1\na\n", "")


@pytest.mark.parametrize(
    ("key", "error", "said"),
    [
        ("", InputError, "The key is empty; a key has at least one character"),
        (5, InputError, r"The key is 5 \(int\); expected a str"),
        (None, InputError, r"The key is None \(NoneType\); expected a str"),
        ("a\ud800", InputError, r"The key 'a\\ud800' is not Unicode"),
        ("é" * 1025, KeyTooLong, "The key has 2,050 bytes; at most 2,048 are allowed"),
    ],
)
def test_a_wrong_key_is_refused(key: Any, error: type[InputError], said: str) -> None:
    with Client("memory://") as store:
        uses: list[Callable[[], object]] = [
            lambda: store.get(key),
            lambda: store.set(key, 1),
            lambda: store.delete(key),
            lambda: store.touch(key, ttl=1),
            lambda: store.increment(key),
            lambda: store.take(key),
            lambda: store.patch(key, {}),
            lambda: store.update(key, lambda _: 1),
            lambda: key in store,
        ]
        for use in uses:
            with pytest.raises(error, match=said):
                use()
        with pytest.raises(error, match=said), store.batch() as batch:
            batch.get(key)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": [1, {2, 3j}]}, r"value\['a'\]\[1\] is of type set; expected JSON"),
        (object(), "value is of type object; expected JSON"),
        ({"a": [b"x"]}, r"value\['a'\]\[0\] is of type bytes; expected JSON .* or bytes as the"),
        (float("nan"), "value is nan, which JSON does not have"),
        ([0.5, {"a": float("-inf"), "b": None}], r"value\[1\]\['a'\] is -inf, which JSON"),
        ({"a": "\ud800"}, r"value\['a'\] is not Unicode"),
        ({"\ud800": 1}, "value: .*surrogates not allowed"),
        ({(1, 2): 3}, "value: Only dicts with str-like or number-like keys are supported"),
    ],
)
def test_a_value_that_is_no_json_is_refused_where_it_is_wrong(value: Any, said: str) -> None:
    with Client("memory://") as store, pytest.raises(InputError, match=said):
        store.set("a", value)


def test_a_value_that_is_nested_too_deep_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    deep: list[Any] = []
    for _ in range(512):
        deep = [deep]
    with Client("memory://") as store:
        for value in (ring, deep):
            with pytest.raises(InputError, match="value: The JSON is nested deeper than 512"):
                store.set("a", value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ttl": 0}, "ttl: Expected a whole number of at least 1"),
        ({"ttl": 1.5}, "ttl is 1.5; expected a whole number of seconds, at least 1"),
        ({"ttl": True}, "ttl is True; expected a whole number"),
        ({"expires_at": 1}, "expires_at: Expected a time in the future"),
        ({"expires_at": "soon"}, "expires_at is 'soon'; expected Unix seconds"),
        ({"ttl": 1, "expires_at": 4e9}, "expires_at: Expected ttl or expires_at, not both"),
        ({"metadata": [1]}, "metadata: Expected a JSON object"),
        ({"metadata": {"a": "x" * 1100}}, "metadata: Expected at most 1,024 bytes"),
        ({"metadata": {"a": {1j}}}, r"metadata\['a'\] is of type set"),
        ({"if_version": "1", "create": True}, "Expected if_version or create=True, not both"),
        ({"if_version": 5}, r"The version is 5 \(int\); expected a str"),
    ],
)
def test_a_wrong_argument_is_named(given: dict[str, Any], said: str) -> None:
    with Client("memory://") as store, pytest.raises(InputError, match=said):
        store.set("a", 1, **given)


def test_other_wrong_arguments_are_named() -> None:
    with Client("memory://") as store:
        uses: list[tuple[Callable[[], object], str]] = [
            (lambda: store.touch("a"), "Expected ttl or expires_at; expires_at=None removes"),
            (lambda: store.patch("a"), "Expected merge or json_patch, and not both"),
            (lambda: store.increment("a", float("nan")), "by is nan; expected a number"),
            (lambda: store.increment("a", "1"), "by is '1'; expected a number"),  # type: ignore[arg-type]
            (lambda: store.patch("a", json_patch=[{"op": "zap"}]), r"0.op: Expected \"add\""),
            (lambda: list(store.list(5)), r"The prefix is 5 \(int\); expected a str"),  # type: ignore[arg-type]
            (lambda: list(store.folders(delimiter="")), "The delimiter is empty"),
            (lambda: store.namespace(""), "The namespace is empty; expected an id or a title"),
        ]
        for use, said in uses:
            with pytest.raises(InputError, match=said):
                use()


def test_a_batch_is_used_in_its_block() -> None:
    with Client("memory://") as store:
        batch = store.run(store.core.new_batch())
        got = batch.get("a")
        with pytest.raises(ClientError, match="expected the end of its with block"):
            got.result()
        store.run(store.core.send(batch))
        assert got.result() is None
        with pytest.raises(ClientError, match="expected operations in its with block"):
            batch.get("a")


def test_a_local_client_has_the_limits_of_a_server() -> None:
    limits = LimitsOptions(value_bytes=10, key_bytes=3, batch_operations=2)
    with Client("memory://", limits=limits) as store:
        with pytest.raises(ValueTooLarge, match="The value has 12 bytes; at most 10 are allowed"):
            store.set("a", "x" * 10)
        with pytest.raises(ValueTooLarge):
            store.set("a", b"x" * 11)
        with pytest.raises(KeyTooLong):
            store.get("abcd")
        batch = store.run(store.core.new_batch())
        for key in "abc":
            batch.set(key, 1)
        with pytest.raises(InputError, match="The batch has 3 operations; with atomic=True"):
            store.run(store.core.send(batch, atomic=True))
        assert list(store) == []
        with store.batch() as batch:
            for key in "abc":
                batch.set(key, 1)
        assert list(store) == ["a", "b", "c"]


def test_a_store_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "kv.sqlite").mkdir()
    with_directory = Client(tmp_path / "kv.sqlite")
    for _ in range(2):
        with pytest.raises((StorageUnavailable, Exception), match=r"kv\.sqlite"):
            with_directory.get("a")
    (tmp_path / "kv.sqlite").rmdir()
    assert with_directory.get("a") is None
    with_directory.close()


def test_a_token_is_not_sent_over_a_network_without_encryption() -> None:
    with pytest.raises(OptionsError, match="without encryption; expected https://"):
        Client("http://kv.example.com", api_key="s3cret")


def test_a_server_has_its_own_limits() -> None:
    with pytest.raises(OptionsError, match="limits are given for a server"):
        Client("https://kv.example.com", limits=LimitsOptions())


def test_expired_entries_are_swept_while_a_client_is_open() -> None:
    swept = threading.Event()

    class Swept(MemoryStorage):
        async def sweep(self, limit: int) -> int:
            swept.set()
            return await super().sweep(limit)

    with Client(Swept()) as store:
        store.get("a")
        assert swept.wait(60)
