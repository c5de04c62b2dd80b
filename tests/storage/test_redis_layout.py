"""Test that RedisStorage has the layout of its page, and that other programs may use it."""

import subprocess
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis import Redis

from servers.redis import RunningRedis
from storage.redis_case import SPACE, Find, acts_on, opened, outcome_of, put
from workertown_kv.entry import Entry
from workertown_kv.errors import StorageError, StorageFailure
from workertown_kv.operations import Get, List, Precondition, Set
from workertown_kv.storage.redis import RedisStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def storage(
    running: RunningRedis, inside: "Redis", clock: MovedClock
) -> AsyncIterator[RedisStorage]:
    async with opened(running.url, clock) as storage:
        yield storage


@pytest.fixture
def shell(running: RunningRedis, require_program: Find) -> Callable[..., list[str]]:
    program = require_program("redis-cli", "redis-tools")

    def run(*command: str) -> list[str]:
        done = subprocess.run(
            [program, "-p", str(running.port), *command], capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return run


async def test_redis_cli_reads_what_was_written(
    storage: RedisStorage, shell: Callable[..., list[str]], clock: MovedClock
) -> None:
    version = await storage.set(
        Set(
            namespace=SPACE,
            key="a/é",
            value='{"b": "\U0001f600"}'.encode(),
            metadata=b'{"m":1}',
            expires_at=clock() + 100.5,
        )
    )
    await storage.set(put("bytes", b"\xff\0"))
    fields = shell("HGETALL", "kv:{0}:entry:default:a/é")
    assert dict(zip(fields[::2], fields[1::2], strict=True)) == {
        "value": '{"b": "\U0001f600"}',
        "is_json": "1",
        "version": version,
        "metadata": '{"m":1}',
        "expires_at": "1800000100.5",
    }
    fields = shell("--no-raw", "HMGET", "kv:{0}:entry:default:bytes", "value", "is_json")
    assert fields == ['1) "\\xff\\x00"', '2) "0"']
    assert shell("ZRANGEBYLEX", "kv:{0}:keys:default", "-", "+") == ["a/é", "bytes"]
    assert shell("ZRANGE", "kv:{0}:expiring", "0", "-1", "WITHSCORES") == [
        "kv:{0}:entry:default:a/é",
        "1800000100.5",
    ]
    assert shell("HGETALL", "kv:layout") == ["buckets", "1", "version", "2"]
    assert len(shell("--scan", "--pattern", "kv:*:entry:default:*")) == 2


async def test_what_redis_cli_writes_is_read(
    storage: RedisStorage, shell: Callable[..., list[str]]
) -> None:
    name = "kv:{0}:entry:default:k"
    shell("HSET", name, "value", "[1]", "is_json", "1", "version", "v1")
    shell("ZADD", "kv:{0}:keys:default", "0", "k")
    entry = await storage.get(Get(SPACE, "k"))
    assert entry == Entry(key="k", value=b"[1]", version="v1")
    assert [one.key for one in (await storage.list(List(SPACE, "", 9))).keys] == ["k"]
    await storage.set(
        Set(namespace=SPACE, key="k", value=b"[2]", precondition=Precondition(("v1",)))
    )
    assert shell("HGET", name, "value") == ["[2]"]


async def test_a_bucket_is_the_slot_that_the_key_has_in_a_cluster(
    running: RunningRedis, inside: "Redis"
) -> None:
    async with opened(f"{running.url}?buckets=64") as storage:
        for key in ("foo", "{user1000}.following", "{user1000}.followers", "foo{{bar}}zap"):
            await storage.set(put(key))
    names = {str(name) for name in inside.scan_iter("kv:*:entry:*")}
    # CLUSTER KEYSLOT says 12182, 3443, 3443 and, for {bar, 4015 of these.
    assert names == {
        f"kv:{{{12182 % 64}}}:entry:default:foo",
        f"kv:{{{3443 % 64}}}:entry:default:{{user1000}}.following",
        f"kv:{{{3443 % 64}}}:entry:default:{{user1000}}.followers",
        f"kv:{{{4015 % 64}}}:entry:default:foo{{{{bar}}}}zap",
    }


async def test_a_namespace_may_have_any_name(storage: RedisStorage) -> None:
    for namespace in ("a:b", "a", "{", "a}b", "%3A", "é"):
        for key in ("b:c", "c"):
            value = f"{namespace} {key}".encode()
            await storage.set(Set(namespace=namespace, key=key, value=value))
    for namespace in ("a:b", "a", "{", "a}b", "%3A", "é"):
        page = await storage.list(List(namespace, "", 10))
        assert [one.key for one in page.keys] == ["b:c", "c"]
        entry = await storage.get(Get(namespace, "c"))
        assert entry is not None
        assert entry.value == f"{namespace} c".encode()


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"version": 9, "buckets": 1}, "layout 9, made by a newer"),
        ({"version": 1, "buckets": 8}, "over 8 buckets and the URL says 2"),
        ({"version": "x", "buckets": 1}, "another application"),
    ],
)
async def test_data_of_another_layout_is_refused(
    running: RunningRedis, inside: "Redis", layout: dict[str, Any], message: str
) -> None:
    async with opened(f"{running.url}?buckets=2") as early:
        inside.hset("kv:layout", items=[part for field in layout.items() for part in field])
        with pytest.raises(StorageError, match=message):
            await RedisStorage(f"{running.url}?buckets=2").open()
        with pytest.raises(StorageError, match=message):
            await early.check()
        for act in acts_on(early).values():
            outcome = await outcome_of(act)
            assert type(outcome) is StorageError
    assert inside.hgetall("kv:layout") == {name: str(value) for name, value in layout.items()}


async def test_without_permission_to_create_it_begins_no_store(
    running: RunningRedis, inside: "Redis"
) -> None:
    storage = RedisStorage(running.url)
    storage.may_create = False
    with pytest.raises(StorageError, match=r"no store .* run `workertown-kv migrate`") as caught:
        await storage.open()
    assert caught.value.kind is StorageFailure.REMOVED
    assert inside.dbsize() == 0
    async with opened(running.url):
        await storage.open()
        assert await storage.get(Get(SPACE, "a")) is None
        await storage.close()


async def test_how_many_buckets_there_are_is_found_in_the_data(
    running: RunningRedis, inside: "Redis"
) -> None:
    async with opened(f"{running.url}?buckets=8") as storage:
        await storage.set(put("foo"))
    async with opened(running.url) as storage:
        assert await storage.get(Get(SPACE, "foo")) is not None
        assert inside.hgetall("kv:layout") == {"version": "2", "buckets": "8"}
        inside.flushall()
        await storage.check()
        assert inside.hgetall("kv:layout") == {"version": "2", "buckets": "1"}
        await storage.set(put("foo"))
    assert inside.exists("kv:{0}:entry:default:foo")
