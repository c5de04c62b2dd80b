"""Test servers whose caches follow the changes that other servers make."""

import asyncio
from pathlib import Path
from typing import Any, ClassVar

import pytest

from caller import Caller, make_server
from served_socket import SECONDS, until
from workertown_kv import OptionsError, Runtime, Storage, kv
from workertown_kv.errors import CursorGone, StorageUnavailable, StorageUnsupported
from workertown_kv.operations import ChangePage, ReadChanges, Set
from workertown_kv.server import background
from workertown_kv.storage import Capability
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage

pytestmark = pytest.mark.anyio

FOLLOW: Any = {"ttl": 3600, "follow": True}


class Cut(MemoryStorage):
    """Counts the reads of changes, and fails them when a test wants it."""

    def __init__(self) -> None:
        super().__init__({"a": 1})
        self.change_reads = 0
        self.error: Exception | None = None

    async def changes(self, operation: ReadChanges) -> ChangePage:
        self.change_reads += 1
        if self.error is not None:
            raise self.error
        return await super().changes(operation)


def _put(value: bytes) -> Set:
    return Set(namespace="default", key="a", value=value)


async def until_reads(call: Caller, key: str, value: object) -> None:
    """Read a value again and again, until it is this."""
    async with asyncio.timeout(SECONDS):
        while (await call("GET", f"/v1/kv/{key}")).json()["data"] != value:  # noqa: ASYNC110  (no event tells)
            await asyncio.sleep(0.001)


async def test_two_servers_over_one_file_see_writes_of_each_other(tmp_path: Path) -> None:
    async with (
        make_server(SqliteStorage(tmp_path / "kv"), cache=FOLLOW) as one,
        make_server(SqliteStorage(tmp_path / "kv"), cache=FOLLOW) as other,
    ):
        near, far = Caller(one), Caller(other)
        assert (await near("GET", "/v1/kv/a/1")).status_code == 404
        for i in range(3):
            await far.put("a/1", i)
            await until_reads(near, "a/1", i)
        await near("PATCH", "/v1/kv/a/1", json={"increment": 5})
        await far("DELETE", "/v1/kv?prefix=a/")
        await until_reads(near, "a/1", None)
        await near.put("a/1", "back")
        await until_reads(far, "a/1", "back")


@pytest.mark.parametrize("error", [StorageUnavailable("It is cut off"), CursorGone()])
async def test_a_feed_that_was_cut_is_followed_again(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "FOLLOW_SECONDS", 0.01)
    monkeypatch.setattr("workertown_kv.changes.feed._RETRY_SECONDS", 0.01)
    storage = Cut()
    async with make_server(storage, cache=FOLLOW) as server, make_server(storage) as other:
        near, far = Caller(server), Caller(other)
        await until_reads(near, "a", 1)
        await far.put("a", 2)
        await until_reads(near, "a", 2)
        storage.error = error
        await far.put("b", 1)  # the read under way ends
        reads = storage.change_reads
        await until(lambda: storage.change_reads > reads + 1)
        await until_reads(near, "a", 2)
        await far.put("a", 3)
        assert (await near("GET", "/v1/kv/a")).json()["data"] == 2  # not older than the ttl
        storage.error = None
        await until_reads(near, "a", 3)


async def test_a_server_answers_though_the_feed_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "FOLLOW_SECONDS", 0.01)
    storage = Cut()
    storage.error = StorageUnsupported("It has the layout of an older version")
    async with make_server(storage, cache=FOLLOW) as server:
        call = Caller(server)
        await until_reads(call, "a", 1)
        await until(lambda: "the layout of an older version" in caplog.text)
        storage.error = None
        await storage.set(_put(b"2"))
        await until_reads(call, "a", 2)
    assert caplog.text.count("is not possible: It has the layout") == 1


async def test_nothing_is_read_for_a_cache_that_does_not_follow() -> None:
    storage = Cut()
    async with make_server(storage, cache=True) as server:
        await until_reads(Caller(server), "a", 1)
        await asyncio.sleep(0)
    assert storage.change_reads == 0


async def test_the_reader_ends_with_the_server() -> None:
    storage = Cut()
    before = asyncio.all_tasks()
    async with make_server(storage, cache=FOLLOW):
        await until(lambda: storage.change_reads > 1)
    await until(lambda: asyncio.all_tasks() == before)


def test_the_reader_begins_again_on_another_event_loop() -> None:
    storage = Cut()
    call = Caller(make_server(storage, cache=FOLLOW))

    async def use(value: int) -> None:
        assert (await call("GET", "/v1/kv/a")).status_code == 200
        await storage.set(_put(b"%d" % value))
        await until_reads(call, "a", value)

    for value in (2, 3):
        asyncio.run(use(value))


class Orderless(MemoryStorage):
    lacks: ClassVar = {Capability.CHANGES: "Its engine is odd."}


@pytest.mark.parametrize(
    ("storage", "background", "options", "message"),
    [
        (
            Orderless(),
            True,
            {},
            "the cache has nothing to follow: This storage has no changes. Its engine is odd.",
        ),
        (
            MemoryStorage(),
            True,
            {"changes": False},
            "changes is False; expected that changes are recorded, which the cache follows",
        ),
        (
            MemoryStorage(),
            False,
            {},
            "this process does not run between requests; expected a host on which it does",
        ),
    ],
)
def test_a_cache_that_cannot_follow_is_refused_at_the_start(
    storage: Storage, background: bool, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionsError) as refused:
        kv(runtime=Runtime(storage, background=background), cache=FOLLOW, get_env=dict, **options)
    assert refused.value.message.startswith(f"cache.follow is True, but {message}")
