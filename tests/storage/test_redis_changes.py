"""Test the log of changes that RedisStorage keeps, beyond what all storages promise."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import contextmanager
from typing import Any
from unittest.mock import ANY

import pytest

from caller import Caller, make_server
from servers.redis import RunningRedis
from servers.relay import Relay
from storage.following import Following
from storage.redis_case import SPACE, opened, put
from waiting import wait_until
from workertown_kv.errors import CursorGone, StorageError, StorageUnavailable, StorageUnsupported
from workertown_kv.operations import (
    Batch,
    Change,
    Delete,
    DeletePrefix,
    Event,
    Get,
    Operation,
    ReadChanges,
    Set,
    Touch,
)
from workertown_kv.storage import SWEEP_MARGIN_SECONDS, Retention
from workertown_kv.storage.keyspace import changes as reading
from workertown_kv.storage.redis import RedisStorage
from workertown_kv.storage.url import storage_from_url
from workertown_kv.testing import MovedClock
from workertown_kv.testing.conformance.changes.log import changes_since, cursor_of_now, seen

pytestmark = pytest.mark.anyio

LOG = "kv:{0}:changes"

Act = Callable[[], Awaitable[object]]


@pytest.fixture
async def storage(
    running: RunningRedis, inside: Any, clock: MovedClock
) -> AsyncIterator[RedisStorage]:
    async with opened(running.url, clock) as storage:
        yield storage


# What is in the log


async def test_other_programs_can_read_the_log(
    storage: RedisStorage, inside: Any, clock: MovedClock
) -> None:
    await storage.changes(ReadChanges(None))
    given = Set(namespace="a:b", key="k", value=b"1", metadata=b'{"m":1}', expires_at=clock() + 1.5)
    version = await storage.set(given)
    begin, change = (fields for _, fields in inside.xrange(LOG))
    assert begin == {"event": "begin"}
    assert change == {
        "event": "set",
        "entry": "kv:{0}:entry:a%3Ab:k",
        "version": version,
        "expires_at": repr(clock() + 1.5),
        "metadata": '{"m":1}',
        "at": str(int(clock())),
    }


async def test_an_expiry_is_recorded_once_by_several_servers(
    running: RunningRedis, storage: RedisStorage, inside: Any, clock: MovedClock
) -> None:
    async with opened(running.url, clock) as other:
        begin = await cursor_of_now(storage)
        keys = [f"k{i}" for i in range(50)]
        await storage.batch(Batch([put(key, expires_at=clock() + 1) for key in keys]))
        clock.move(2)
        readers = [storage, other] * 5
        await asyncio.gather(*(one.changes(ReadChanges(begin)) for one in readers))
        expired = [one for one in await changes_since(other, begin) if one.event is Event.EXPIRE]
        assert sorted(one.key for one in expired) == sorted(keys)
        expiring = dict(inside.zrange("kv:{0}:expiring", 0, -1, withscores=True))
        assert set(expiring.values()) == {-(clock() - 1)}
        clock.move(SWEEP_MARGIN_SECONDS)
        swept = await asyncio.gather(storage.sweep(500), other.sweep(500))
        assert sum(swept) == len(keys)
        assert len(await changes_since(storage, begin)) == 2 * len(keys)
        assert not inside.exists("kv:{0}:expiring")


async def test_many_expiries_are_recorded_in_steps(
    storage: RedisStorage, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_EXPIRED", 7)
    begin = await cursor_of_now(storage)
    sets: list[Operation] = [put(f"k{i}", expires_at=clock() + 1) for i in range(20)]
    await storage.batch(Batch(sets))
    clock.move(1)
    page = await storage.changes(ReadChanges(begin))
    assert len(page.changes) == 27
    assert not page.complete
    assert len(await changes_since(storage, page.cursor)) == 13
    await storage.batch(Batch([put(f"m{i}", expires_at=clock() + 1) for i in range(20)]))
    clock.move(1)
    # From now on, there is nothing: what expired before is recorded first.
    assert not await changes_since(storage, await cursor_of_now(storage))


async def test_an_expiry_has_no_version_if_redis_itself_removed_the_entry(
    storage: RedisStorage, inside: Any, clock: MovedClock
) -> None:
    begin = await cursor_of_now(storage)
    for key in ("read", "written", "deleted", "swept"):
        await storage.set(put(key, expires_at=clock() + 1))
        # No server has run for two minutes.
        inside.delete(f"kv:{{0}}:entry:default:{key}")
    clock.move(1)
    written = await storage.set(put("written", expires_at=clock() + 500))
    await storage.delete(Delete(SPACE, "deleted"))
    inside.zadd("kv:{0}:expiring", {"kv:{0}:entry:default:swept": clock() - 100})
    assert await storage.sweep(10) == 1
    assert seen(await changes_since(storage, begin))[4:] == [
        (Event.EXPIRE, "written", None),
        (Event.SET, "written", written),
        (Event.EXPIRE, "deleted", None),
        (Event.EXPIRE, "swept", None),
        (Event.EXPIRE, "read", None),
    ]


async def test_expiries_and_deletions_are_recorded_in_a_memory_that_is_full(
    own: RunningRedis, clock: MovedClock
) -> None:
    async with opened(own.url, clock) as storage:
        begin = await cursor_of_now(storage)
        for key in "ab":
            await storage.set(put(key, expires_at=clock() + 1))
        await storage.set(put("c"))
        with own.client() as client:
            client.config_set("maxmemory", 1)
            clock.move(1)
            await storage.delete(Delete(SPACE, "c"))
            await storage.delete(Delete(SPACE, "a"))
            with pytest.raises(StorageUnavailable, match="no memory left"):
                await storage.set(put("b"))
            changes = await changes_since(storage, begin)
        assert [(one.event, one.key) for one in changes[3:]] == [
            (Event.DELETE, "c"),
            (Event.EXPIRE, "a"),
            (Event.EXPIRE, "b"),
        ]


async def test_deleting_by_prefix_records_each_deletion(
    storage: RedisStorage, inside: Any, clock: MovedClock
) -> None:
    kept = await storage.set(put("b"))
    versions = [await storage.set(put(f"a{i}")) for i in range(5)]
    for key in ("a-expired", "a-removed"):
        await storage.set(put(key, expires_at=clock() + 1))
    begin = await cursor_of_now(storage)
    clock.move(1)
    inside.delete("kv:{0}:entry:default:a-removed")
    assert (await storage.delete_prefix(DeletePrefix(SPACE, "a", 100))).deleted == 5
    assert seen(await changes_since(storage, begin)) == [
        (Event.EXPIRE, "a-removed", None),
        *((Event.DELETE, f"a{i}", version) for i, version in enumerate(versions)),
        (Event.EXPIRE, "a-expired", ANY),
    ]
    entry = await storage.get(Get(SPACE, "b"))
    assert entry is not None
    assert entry.version == kept


async def test_a_touch_is_recorded_with_all_but_the_value(
    storage: RedisStorage, clock: MovedClock
) -> None:
    version = await storage.set(Set(namespace=SPACE, key="a", value=b"1", metadata=b'{"m":1}'))
    begin = await cursor_of_now(storage)
    for expires_at in (clock() + 1, None):
        await storage.touch(Touch(namespace=SPACE, key="a", expires_at=expires_at))
        await storage.touch(Touch(namespace=SPACE, key="absent", expires_at=expires_at))
    clock.move(2)
    assert await changes_since(storage, begin) == [
        Change(
            event=Event.TOUCH,
            namespace=SPACE,
            key="a",
            version=version,
            expires_at=expires_at,
            metadata=b'{"m":1}',
        )
        for expires_at in (clock() - 1, None)
    ]


# Which cursors are gone


async def test_a_server_that_records_nothing_ends_the_log(
    running: RunningRedis, storage: RedisStorage, inside: Any, clock: MovedClock
) -> None:
    other = RedisStorage(running.url, clock=clock)
    other.retention = None
    await other.open()
    begin = await cursor_of_now(storage)
    await storage.set(put("a"))
    harmless: list[Act] = [
        lambda: other.get(Get(SPACE, "a")),
        lambda: other.delete(Delete(SPACE, "b")),
        other.probe,
    ]
    for act in harmless:
        await act()
        assert len(await changes_since(storage, begin)) == 1
    await storage.set(put("c", expires_at=clock() + 1))
    cursor = await cursor_of_now(storage)
    clock.move(1 + SWEEP_MARGIN_SECONDS)
    ending: list[Act] = [
        lambda: other.sweep(10),
        lambda: other.set(put("a")),
        lambda: other.batch(Batch([Delete(SPACE, "a")])),
    ]
    for act in ending:
        await act()
        await storage.set(put("b"))
        with pytest.raises(CursorGone):
            await storage.changes(ReadChanges(cursor))
        cursor = await cursor_of_now(storage)
    await other.close()


async def test_a_cursor_is_gone_if_redis_has_lost_its_change(
    storage: RedisStorage, inside: Any
) -> None:
    losses: list[Callable[[], object]] = [
        lambda: inside.xdel(LOG, inside.xrevrange(LOG, count=1)[0][0]),  # a failover
        lambda: inside.delete(LOG),
        inside.flushall,
    ]
    for lose in losses:
        await storage.set(put("a"))
        before = await cursor_of_now(storage)
        await storage.set(put("b"))
        cursor = await cursor_of_now(storage)
        lose()
        await asyncio.sleep(0.002)  # a new log begins in another millisecond
        await storage.set(put("c"))
        with pytest.raises(CursorGone):
            await storage.changes(ReadChanges(cursor))
        # What comes before the lost changes is not gone, after a failover.
        if inside.xlen(LOG) > 1:
            assert [one.key for one in await changes_since(storage, before)] == ["c"]


async def test_old_changes_are_removed_up_to_the_last_of_them(
    running: RunningRedis, inside: Any, clock: MovedClock
) -> None:
    storage = RedisStorage(running.url, clock=clock)
    storage.retention = Retention(seconds=100)
    await storage.open()
    await storage.batch(Batch([put(f"old{i}") for i in range(1500)]))
    cursor = await cursor_of_now(storage)
    clock.move(60)
    await storage.set(put("new"))
    await storage.sweep(10)
    assert inside.xlen(LOG) == 1501
    clock.move(70)
    await storage.sweep(10)
    assert inside.xlen(LOG) < 1501
    await storage.sweep(10)
    assert inside.xlen(LOG) == 2
    # A reader that has read all old changes misses nothing.
    assert [one.key for one in await changes_since(storage, cursor)] == ["new"]
    await storage.sweep(10)
    before = inside.info("stats")["total_commands_processed"]
    await storage.sweep(10)
    assert inside.info("stats")["total_commands_processed"] - before == 2, "it looks once a minute"
    await storage.close()


async def test_the_log_has_about_as_many_changes_as_it_keeps(
    running: RunningRedis, inside: Any
) -> None:
    storage = RedisStorage(running.url)
    storage.retention = Retention(entries=200)
    await storage.open()
    for _ in range(5):
        await storage.batch(Batch([put(f"k{i}") for i in range(300)]))
    assert 201 <= inside.xlen(LOG) <= 301
    await storage.close()


async def test_a_reader_may_be_behind_by_as_many_changes_as_are_kept(
    running: RunningRedis, inside: Any
) -> None:
    storage = RedisStorage(running.url)
    storage.retention = Retention(entries=100)
    await storage.open()
    cursors = [await cursor_of_now(storage)]
    for turn in range(250):
        await storage.set(put("a"))
        cursors.append((await storage.changes(ReadChanges(cursors[-1]))).cursor)
        if turn >= 100:
            page = await storage.changes(ReadChanges(cursors[-101], 1))
            assert len(page.changes) == 1
    await storage.close()


# Waiting


async def test_a_reader_that_waits_costs_a_round_trip_or_two_a_second(
    running: RunningRedis, relay: Relay, inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WAIT_SECONDS", 0.05)
    async with opened(relay.in_front(running.url)) as storage:
        begin = await cursor_of_now(storage)
        before = relay.round_trips
        page = await storage.changes(ReadChanges(begin, wait=0.5))
        assert not page.changes
        # Each turn waits once, and looks once for entries that have expired.
        assert relay.round_trips - before <= 2 * 0.5 / 0.05 + 2


async def test_a_reader_that_waits_takes_no_connection_from_others(
    running: RunningRedis, inside: Any
) -> None:
    async with opened(f"{running.url}?connections=1") as storage:
        begin = await cursor_of_now(storage)
        waiting = [
            asyncio.ensure_future(storage.changes(ReadChanges(begin, wait=60))) for _ in range(3)
        ]
        await asyncio.to_thread(wait_until, lambda: blocked_readers(running) == 3)
        for _ in range(20):
            await storage.get(Get(SPACE, "a"))
        version = await storage.set(put("a"))
        for page in await asyncio.gather(*waiting):
            assert seen(page.changes) == [(Event.SET, "a", version)]


async def test_closing_ends_a_reader_that_waits(
    running: RunningRedis, inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WAIT_SECONDS", 0.1)
    async with opened(running.url) as storage:
        begin = await cursor_of_now(storage)
        waiting = asyncio.ensure_future(storage.changes(ReadChanges(begin, wait=60)))
        await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable, match="closed"):
        await waiting


async def test_a_reader_that_may_not_block_polls(own: RunningRedis) -> None:
    with own.client() as client:
        client.execute_command("ACL SETUSER kv on >s3cret ~* +@all -xread")
    async with opened(f"redis://kv:s3cret@127.0.0.1:{own.port}") as storage:
        begin = await cursor_of_now(storage)
        waiting = asyncio.ensure_future(storage.changes(ReadChanges(begin, wait=60)))
        await asyncio.sleep(0)
        version = await storage.set(put("a"))
        assert seen((await waiting).changes) == [(Event.SET, "a", version)]


async def test_a_reader_that_waits_sees_an_expiry(
    storage: RedisStorage, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WAIT_SECONDS", 0.05)
    version = await storage.set(put("a", expires_at=clock() + 1))
    begin = await cursor_of_now(storage)
    waiting = asyncio.ensure_future(storage.changes(ReadChanges(begin, wait=60)))
    await asyncio.sleep(0)
    clock.move(1)
    assert seen((await waiting).changes) == [(Event.EXPIRE, "a", version)]


async def test_a_reader_that_waits_notices_that_redis_is_down(own: RunningRedis) -> None:
    async with opened(own.url) as storage:
        begin = await cursor_of_now(storage)
        waiting = asyncio.ensure_future(storage.changes(ReadChanges(begin, wait=60)))
        await asyncio.to_thread(wait_until, lambda: blocked_readers(own) == 1)
        own.kill()
        with pytest.raises(StorageUnavailable, match="does not answer"):
            await waiting
        own.start()
        with pytest.raises(CursorGone):  # this Redis keeps nothing
            await storage.changes(ReadChanges(begin, wait=60))


def blocked_readers(redis: RunningRedis) -> int:
    with redis.client() as client:
        return int(client.info("clients")["blocked_clients"])


# Several servers


async def test_a_server_tells_its_clients_what_another_has_written(
    running: RunningRedis, inside: Any
) -> None:
    one, two = (make_server(storage_from_url(running.url)) for _ in range(2))
    async with one, two:
        call = Caller(one)
        cursor = (await call.data("GET", "/v1/changes"))["cursor"]
        path = f"/v1/changes?since={cursor}&values=true&wait=60"
        waiting = asyncio.ensure_future(call.data("GET", path))
        await asyncio.to_thread(wait_until, lambda: blocked_readers(running) == 1)
        await Caller(two).put("a", [1])
        (change,) = (await waiting)["changes"]
        assert (change["event"], change["key"], change["value"]) == ("set", "a", [1])


WRITER = """
import asyncio, itertools, random, sys, time
from workertown_kv.operations import Batch, Delete, Set
from workertown_kv.storage.redis import RedisStorage

async def write(storage, name):
    for i in itertools.count():
        key = f"{{t}}{random.randrange(40)}"
        lives = random.choice([None, None, 0.01])
        expires_at = lives and time.time() + lives
        set_ = Set(namespace="default", key=key, value=b"1", expires_at=expires_at)
        match i % 4:
            case 0:
                await storage.delete(Delete("default", key))
            case 1:
                await storage.batch(Batch([set_, Delete("default", "{t}x"), set_], atomic=True))
            case _:
                await storage.set(set_)
        if i % 20 == 0:
            print(name, flush=True)

async def main():
    storage = RedisStorage(sys.argv[1])
    await storage.open()
    await asyncio.gather(*(write(storage, name) for name in range(8)))

asyncio.run(main())
"""


@contextmanager
def writing(url: str) -> Any:
    """Run a process that writes, until it is killed."""
    with subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.deep
async def test_no_change_is_missed_if_a_server_is_killed(own: RunningRedis) -> None:
    async with opened(own.url) as storage:
        following = Following(storage)
        await following.start()
        with writing(own.url) as first, writing(own.url) as second:
            for process in (first, second, first, second):
                await asyncio.to_thread(process.stdout.readline)
            first.kill()
            for _ in range(8):
                await asyncio.to_thread(second.stdout.readline)
            second.kill()
            await asyncio.to_thread(second.wait)
        await following.stop()
        assert following.begun == 1
        assert len(following.seen) > 100
        assert len(set(following.seen)) == len(following.seen), "a change came twice"
        while not await following.matches():  # an entry may have expired meanwhile
            await following.stop()


# Layouts


async def test_changes_can_be_read_after_a_migration_that_excludes_older_servers(
    storage: RedisStorage, inside: Any
) -> None:
    inside.hset("kv:layout", mapping={"version": 1, "buckets": 1})
    await storage.check()
    version = await storage.set(put("a"))
    with pytest.raises(StorageUnsupported, match="`workertown-kv migrate` after the last"):
        await storage.changes(ReadChanges(None))
    (warning,) = [one for one in await storage.warnings() if "older server" in one]
    assert "`workertown-kv migrate`" in warning
    (ran,) = await storage.migrate()
    assert (ran.migration, ran.direction) == ("0001_changes", "up")
    assert inside.hget("kv:layout", "version") == "2"
    assert not await storage.migrate()
    assert not [one for one in await storage.warnings() if "older server" in one]
    cursor = await cursor_of_now(storage)
    await storage.delete(Delete(SPACE, "a"))
    assert await changes_since(storage, cursor) == [
        Change(event=Event.DELETE, namespace=SPACE, key="a", version=version)
    ]
    (ran,) = await storage.migrate(to=0)
    assert (ran.migration, ran.direction) == ("0001_changes", "down")
    assert not inside.exists(LOG)
    with pytest.raises(StorageUnsupported):
        await storage.changes(ReadChanges(cursor))
    with pytest.raises(StorageError, match="There are 1 migrations"):
        await storage.migrate(to=2)


async def test_an_older_server_sweeps_what_has_expired(
    storage: RedisStorage, inside: Any, clock: MovedClock
) -> None:
    """It looks for all scores up to its time, and removes what the hash says has expired."""
    begin = await cursor_of_now(storage)
    await storage.set(put("a", expires_at=clock() + 1))
    clock.move(1)
    assert len(await changes_since(storage, begin)) == 2
    (entry,) = inside.zrangebyscore("kv:{0}:expiring", "-inf", clock() - SWEEP_MARGIN_SECONDS)
    assert entry == "kv:{0}:entry:default:a"
