"""Test that RedisStorage keeps the contract, in a Redis that other programs can read."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha1
from pathlib import Path

import pytest
from redis import Redis

from caller import Caller, make_server, until_status
from depth import IS_DEEP
from longest_turn import longest_turn
from servers.redis import RunningRedis
from servers.relay import Relay
from storage.redis_case import SPACE, opened, put
from waiting import wait_until
from workertown_kv.entry import Entry
from workertown_kv.errors import Conflict, PreconditionFailed, ValueTooLarge
from workertown_kv.operations import Batch, Delete, Get, List, Operation, Precondition, Set
from workertown_kv.storage import SWEEP_MARGIN_SECONDS, Clock, Storage, merging
from workertown_kv.storage.keyspace import Script, sweeping
from workertown_kv.storage.redis import RedisStorage
from workertown_kv.storage.url import storage_from_url
from workertown_kv.testing import MovedClock, StorageConformance

pytestmark = pytest.mark.anyio


@pytest.fixture
async def storage(
    running: RunningRedis, inside: "Redis", clock: MovedClock
) -> AsyncIterator[RedisStorage]:
    async with opened(running.url, clock) as storage:
        yield storage


class OnRedis(StorageConformance):
    parameters = ""

    @pytest.fixture(autouse=True)
    def on(self, running: RunningRedis) -> None:
        self.url = running.url

    def make(self, clock: Clock, folder: Path) -> Storage:
        prefix = sha1(bytes(folder)).hexdigest()
        return RedisStorage(f"{self.url}?prefix={prefix}{self.parameters}", clock=clock)


class TestRedisStorage(OnRedis):
    examples = 30 if IS_DEEP else 16


@pytest.mark.deep
class TestRedisStorageWithManyBuckets(OnRedis):
    parameters = "&buckets=16"
    examples = 5


# Costs


async def test_a_read_and_a_write_are_one_round_trip_each(
    running: RunningRedis, relay: Relay
) -> None:
    async with opened(relay.in_front(running.url)) as storage:
        both: list[Operation] = [put("a"), put("b"), Get(SPACE, "a")]
        await storage.batch(Batch(both))  # makes the scripts known
        await storage.list(List(SPACE, "", 10))
        for act, trips in (
            (lambda: storage.get(Get(SPACE, "a")), 1),
            (lambda: storage.set(put("a")), 1),
            (lambda: storage.delete(Delete(SPACE, "c")), 1),
            (lambda: storage.batch(Batch(both)), 1),
            (lambda: storage.batch(Batch(both, atomic=True)), 1),
            (storage.check, 1),
            (lambda: storage.list(List(SPACE, "", 10)), 2),
        ):
            before = relay.round_trips
            await act()
            assert relay.round_trips - before == trips


async def test_no_operation_waits_while_a_large_value_is_on_its_way(storage: RedisStorage) -> None:
    value = b"x" * 25 * 1024 * 1024
    for act, most in (
        (lambda: storage.set(put("a", value)), 0.025),
        (lambda: storage.get(Get(SPACE, "a")), 0.1),  # hiredis copies what it has read
    ):
        longest = [await longest_turn(act)]
        while min(longest) >= most and len(longest) < 3:
            longest.append(await longest_turn(act))
        assert min(longest) < most
    entry = await storage.get(Get(SPACE, "a"))
    assert entry is not None
    same = entry.value == value
    assert same


async def test_there_are_no_more_connections_than_allowed(
    running: RunningRedis, inside: "Redis"
) -> None:
    before = inside.info("clients")["connected_clients"]
    async with opened(f"{running.url}?connections=3") as storage:
        await asyncio.gather(*(storage.batch(Batch([put(str(i))])) for i in range(100)))
        assert inside.info("clients")["connected_clients"] - before == 3
    await asyncio.sleep(0)
    wait_until(lambda: inside.info("clients")["connected_clients"] == before)


async def test_a_batch_reads_no_more_than_it_may_return(
    storage: RedisStorage, inside: "Redis"
) -> None:
    await storage.set(put("big", b"x" * 4_000_000))
    stale = Precondition(("stale",))
    gets: list[Operation] = [Get(SPACE, "big", stale), *[Get(SPACE, "big")] * 500, put("b")]
    before = inside.info("stats")["total_net_output_bytes"]
    results = await storage.batch(Batch(gets, read_bytes=10_000_000))
    kinds = [type(one) for one in results]
    assert kinds == [PreconditionFailed, *[Entry] * 2, *[ValueTooLarge] * 498, str]
    with pytest.raises(ValueTooLarge):
        await storage.batch(Batch(gets[1:], read_bytes=10_000_000, atomic=True))
    assert inside.info("stats")["total_net_output_bytes"] - before < 9_000_000


async def test_a_step_of_an_atomic_batch_sees_those_before_it(storage: RedisStorage) -> None:
    await storage.set(put("a", b"x" * 1000))
    absent = Precondition(negated=True)
    batch: list[Operation] = [
        Delete(SPACE, "a"),
        Get(SPACE, "a", absent),
        Set(namespace=SPACE, key="a", value=b"12", precondition=absent),
        Get(SPACE, "a", Precondition()),
    ]
    results = await storage.batch(Batch(batch, atomic=True, read_bytes=2))
    assert isinstance(results[3], Entry)
    assert (results[3].value, results[3].version) == (b"12", results[2])
    with pytest.raises(Conflict) as caught:
        await storage.batch(Batch(batch[2:] + batch[2:3], atomic=True))
    assert list(caught.value.failed) == [0, 2]


# Lifetimes


async def test_the_clock_of_redis_has_no_say(running: RunningRedis, inside: "Redis") -> None:
    long_ago = MovedClock(1000.0)
    async with opened(running.url, long_ago) as storage:
        await storage.set(put("a", expires_at=1001.5))
        assert await storage.get(Get(SPACE, "a")) is not None
        # Redis also removes the entry, a minute after its expiry, unless a sweep does so before.
        assert 121_000 < inside.pttl("kv:{0}:entry:default:a") <= 121_500
        long_ago.move(1.5)
        assert await storage.get(Get(SPACE, "a")) is None
        assert inside.exists("kv:{0}:entry:default:a")


@pytest.mark.parametrize("buckets", [1, 8])
async def test_sweeping_removes_what_has_expired_in_small_steps(
    running: RunningRedis, inside: "Redis", clock: MovedClock, buckets: int
) -> None:
    async with opened(f"{running.url}?buckets={buckets}", clock) as storage:
        for i in range(50):
            await storage.set(put(f"dead{i}", expires_at=clock() + 1))
        await storage.set(put("kept", expires_at=clock() + 1.5))
        await storage.set(put("rewritten", expires_at=clock() + 1))
        await storage.set(put("rewritten"))
        # An entry that Redis has removed by itself is still in the listing.
        inside.delete(*inside.keys("kv:*:entry:default:dead7"))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        swept: list[int] = []
        while not swept or swept[-1]:
            swept.append(await storage.sweep(20))
        assert sum(swept) == 50
        assert max(swept) <= 20
        assert len(inside.keys("kv:*:entry:*")) == 2
        members = [m for name in inside.keys("kv:*:keys:*") for m in inside.zrange(name, 0, -1)]
        assert sorted(members) == ["kept", "rewritten"]
        assert sum(inside.zcard(name) for name in inside.keys("kv:*:expiring")) == 1


@pytest.mark.parametrize("buckets", [1, 8])
async def test_while_one_server_sweeps_no_other_does(
    running: RunningRedis, inside: "Redis", clock: MovedClock, buckets: int
) -> None:
    url = f"{running.url}?buckets={buckets}&timeout=60"
    async with opened(url, clock) as one, opened(url, clock) as two:
        for key in "abc":
            await one.set(put(key, expires_at=clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        # There is a wait between the claim and the step, so another server may come in between.
        assert sorted(await asyncio.gather(one.sweep(9), two.sweep(9))) == [0, 3]
        assert not inside.exists("kv:sweeping"), "the claim was not given up"
        await one.set(put("d", expires_at=clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        inside.set("kv:sweeping", "another")
        assert await two.sweep(9) == 0
        assert inside.get("kv:sweeping") == "another"
        inside.delete("kv:sweeping")
        assert await two.sweep(9) == 1


async def test_a_worker_that_dies_while_it_sweeps_is_in_the_way_for_a_moment_alone(
    running: RunningRedis, inside: "Redis", clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(f"{running.url}?timeout=60", clock) as storage:
        await storage.set(put("a", expires_at=clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        with monkeypatch.context() as patched:
            patched.setattr(sweeping, "RELEASE", Script("return 0"))
            assert await storage.sweep(9) == 1
        assert 30_000 < inside.pttl("kv:sweeping") <= 61_000
        await storage.set(put("b", expires_at=clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        assert await storage.sweep(9) == 0
        inside.pexpire("kv:sweeping", 1)
        wait_until(lambda: not inside.exists("kv:sweeping"))
        assert await storage.sweep(9) == 1


async def test_a_page_is_found_behind_many_that_have_expired(
    storage: RedisStorage, clock: MovedClock
) -> None:
    dead: list[Operation] = [put(f"{i:05}", expires_at=clock() + 1) for i in range(3000)]
    await storage.batch(Batch([*dead, put("z1"), put("z2")]))
    clock.move(1)
    page = await storage.list(List(SPACE, "", 1))
    assert ([one.key for one in page.keys], page.cursor) == (["z1"], "z1")


async def test_a_page_ends_where_many_keys_were_looked_at_and_goes_on_from_there(
    storage: RedisStorage, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "MOST_KEYS", 10)
    monkeypatch.setattr(merging, "MOST_READS", 5)
    dead: list[Operation] = [put(f"{i:05}", expires_at=clock() + 1) for i in range(300)]
    await storage.batch(Batch([*dead, put("00010a"), put("z")]))
    clock.move(1)
    page = await storage.list(List(SPACE, "", 5))
    assert [one.key for one in page.keys] == ["00010a"]
    assert page.cursor is not None, "it goes on, and has not looked at all of them yet"
    page = await storage.list(List(SPACE, "", 5, page.cursor))
    assert [one.key for one in page.keys] == ["z"]


# Over HTTP


async def test_it_is_served_over_http_and_a_redis_that_is_down_is_503(own: RunningRedis) -> None:
    storage = storage_from_url(own.url)
    async with make_server(storage) as server:
        call = Caller(server)
        etag = (await call.put("a/b", {"c": [1]}, metadata={"m": 1})).headers["etag"]
        for tag, status in (('"other"', 412), (etag, 200)):
            fields = {"If-Match": tag}
            answer = await call("PUT", "/v1/kv/a/b", headers=fields, json={"value": 2})
            assert answer.status_code == status
        assert await call.data("GET", "/v1/kv/a/b") == 2
        sets = [{"op": "set", "key": key, "value": key} for key in ("x", "y")]
        await call.data("POST", "/v1/kv", json={"atomic": True, "operations": sets})
        listed = await call.data("GET", "/v1/kv?limit=2")
        assert [one["key"] for one in listed["keys"]] == ["a/b", "x"]
        own.kill()
        for method in ("GET", "PUT"):
            answer = await call(method, "/v1/kv/x", json={"value": 1} if method == "PUT" else None)
            assert answer.status_code == 503
            assert str(own.port) not in answer.text
        await until_status(lambda: call("GET", "/health"), 503)
        assert str(own.port) not in (await call("GET", "/health")).text
        own.start()
        assert (await call("PUT", "/v1/kv/x", json={"value": 1})).status_code == 200
        await until_status(lambda: call("GET", "/health"), 200)
