"""Test RedisStorage when its Redis is down, hangs, refuses, loses an answer, or needs a login."""

import asyncio
from itertools import count
from pathlib import Path
from time import time

import pytest
from redis import Redis

from served_socket import until
from servers.certificate import write_certificate
from servers.redis import ALWAYS_SYNCED, PERMISSIONS, RunningRedis
from servers.relay import Relay
from storage.redis_case import SPACE, acts_on, opened, outcome_of, put
from ticking import Ticking
from waiting import wait_until
from workertown_kv.errors import StorageError, StorageFailure, StorageUnavailable
from workertown_kv.operations import Batch, Delete, Get, List, Operation
from workertown_kv.storage import SWEEP_MARGIN_SECONDS
from workertown_kv.storage.redis import RedisStorage
from workertown_kv.testing import MovedClock
from workertown_kv.testing.conformance.listings import all_keys
from workertown_kv.testing.served import free_port

pytestmark = pytest.mark.anyio


async def test_a_redis_that_is_down_comes_back_without_a_restart(own: RunningRedis) -> None:
    own.kill()
    async with opened(own.url) as storage:
        for act in acts_on(storage).values():
            async with Ticking() as passed:
                outcome = await outcome_of(act)
            assert isinstance(outcome, StorageUnavailable)
            assert "may or may not" not in outcome.message, "it was not even sent"
            assert outcome.__cause__ is not None
            assert passed.ticks < 100
        for act in acts_on(storage).values():
            own.start()
            assert not isinstance(await outcome_of(act), BaseException)
            # The open connections break, and the storage has not looked at any of them since.
            own.kill()


@pytest.mark.parametrize("name", ["get", "set", "list", "atomic batch"])
async def test_connections_that_broke_while_idle_are_not_used(own: RunningRedis, name: str) -> None:
    async with opened(own.url) as storage:
        await asyncio.gather(*(storage.get(Get(SPACE, "a")) for _ in range(20)))
        own.kill()
        own.start()
        assert not isinstance(await outcome_of(acts_on(storage)[name]), BaseException)


async def test_a_redis_that_hangs_is_given_up_in_time(own: RunningRedis) -> None:
    async with opened(f"{own.url}?timeout=1&connections=2") as storage:
        acts = acts_on(storage)
        await storage.set(put("a"))
        own.pause()
        async with Ticking() as passed:
            outcomes = await asyncio.gather(*map(outcome_of, [*acts.values()] * 3))
        assert passed.ticks < 190
        own.resume()
        assert all(isinstance(one, StorageUnavailable) for one in outcomes)
        # Redis may still do what was sent, the deletion of "a" too.
        await storage.set(put("after"))
        assert await storage.get(Get(SPACE, "after")) is not None
    async with opened(f"{own.url}?timeout=1") as storage:
        acts = acts_on(storage)
        own.pause()
        for name in ("set", "atomic batch", "get"):
            outcome = await outcome_of(acts[name])
            assert isinstance(outcome, StorageUnavailable)
        own.resume()


async def test_a_writer_who_goes_away_spoils_nothing_for_the_others(
    running: RunningRedis, inside: "Redis"
) -> None:
    async with opened(f"{running.url}?connections=4") as storage:
        await asyncio.gather(*(storage.get(Get(SPACE, "a")) for _ in range(30)))
        writes = [asyncio.ensure_future(storage.set(put(str(i)))) for i in range(30)]
        await asyncio.sleep(0)
        for one in writes[::2]:
            one.cancel()
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        assert {type(one) for one in outcomes[1::2]} == {str}
        for i in range(1, 30, 2):
            assert await storage.get(Get(SPACE, str(i))) is not None


async def test_a_write_whose_answer_is_lost_is_not_sent_again(
    running: RunningRedis, relay: Relay, inside: "Redis"
) -> None:
    async with opened(relay.in_front(running.url)) as storage:
        await storage.set(put("a", b"0"))
        inside.config_resetstat()
        relay.lose_answers()
        with pytest.raises(StorageUnavailable, match="may or may not have happened"):
            await storage.set(put("a", b"1"))
        assert inside.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
        entry = await storage.get(Get(SPACE, "a"))
        assert entry is not None
        assert entry.value == b"1"
        relay.lose_answers()
        (result,) = await storage.batch(Batch([put("a", b"2")]))
        assert isinstance(result, StorageUnavailable)
        assert "may or may not have happened" in result.message


async def test_a_read_whose_answer_is_lost_is_sent_again_once(
    running: RunningRedis, relay: Relay, inside: "Redis"
) -> None:
    async with opened(relay.in_front(running.url)) as storage:
        await storage.set(put("a"))
        for act in (lambda: storage.get(Get(SPACE, "a")), lambda: storage.list(List(SPACE, "", 9))):
            inside.config_resetstat()
            relay.lose_answers()
            assert await act()
        assert inside.info("commandstats")["cmdstat_zrangebylex"]["calls"] == 2
        relay.lose_answers(2)
        with pytest.raises(StorageUnavailable):
            await storage.get(Get(SPACE, "a"))


async def test_a_write_that_too_few_replicas_have_is_not_acknowledged(
    running: RunningRedis, inside: "Redis", program: str, tmp_path: Path
) -> None:
    async with opened(f"{running.url}?wait=1&timeout=0.5") as storage:
        for act in ("set", "delete", "batch", "atomic batch"):
            outcome = await outcome_of(acts_on(storage)[act])
            assert isinstance(outcome, StorageUnavailable)
            assert "replicas" in outcome.message
            assert "may or may not have happened" in outcome.message
    master = ("--replicaof", "127.0.0.1", str(running.port))
    with RunningRedis(program, tmp_path, *master) as replica, replica.client() as client:
        wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        async with opened(f"{running.url}?wait=1") as storage:
            await storage.set(put("a", b"2"))
            assert client.hget("kv:{0}:entry:default:a", "value") == "2"
            await storage.delete(Delete(SPACE, "a"))
            assert not client.exists("kv:{0}:entry:default:a")
        async with opened(replica.url) as storage:
            with pytest.raises(StorageUnavailable, match="replica, which takes no writes"):
                await storage.set(put("a"))
            assert await storage.get(Get(SPACE, "a")) is None


async def test_a_full_memory_stops_writes_and_nothing_else(
    own: RunningRedis, clock: MovedClock
) -> None:
    async with opened(own.url, clock) as storage:
        await storage.set(put("a"))
        await storage.set(put("gone", expires_at=clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        batch: list[Operation] = [put("b"), Delete(SPACE, "a")]
        with own.client() as client:
            client.config_set("maxmemory", 1)
            with pytest.raises(StorageUnavailable, match="no memory left") as caught:
                await storage.set(put("b"))
            assert "OOM" in repr(caught.value.__cause__) or "maxmemory" in str(
                caught.value.__cause__
            )
            with pytest.raises(StorageUnavailable, match="no memory left"):
                await storage.batch(Batch(batch, atomic=True))
            assert await storage.get(Get(SPACE, "a")) is not None
            await storage.delete(Delete(SPACE, "a"))
            assert await storage.sweep(9) == 1
            client.config_set("maxmemory", 0)
        await storage.set(put("b"))


async def test_a_redis_that_takes_no_writes_says_why(own: RunningRedis, tmp_path: Path) -> None:
    async with opened(own.url) as storage:
        with own.client() as client:
            client.config_set("min-replicas-to-write", 1)
            with pytest.raises(StorageUnavailable, match="too few replicas are connected"):
                await storage.set(put("a"))
            client.config_set("min-replicas-to-write", 0)
            client.config_set("save", "3600 1")
            (tmp_path / "dump.rdb").mkdir()
            client.bgsave()
            wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        with pytest.raises(StorageUnavailable, match="cannot save"):
            await storage.set(put("a"))


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(ALWAYS_SYNCED, id="synced"),
        pytest.param((), id="kept nowhere", marks=pytest.mark.deep),
    ],
)
async def test_an_acknowledged_write_survives_kill_9_where_redis_syncs_each(
    program: str, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    acknowledged: set[str] = set()
    with RunningRedis(program, tmp_path, *arguments) as redis:
        async with opened(redis.url) as storage:

            async def write(turn: str, enough: asyncio.Event) -> None:
                for number in count():
                    key = f"{turn} {number}"
                    await storage.set(put(key, b"x" * 20_000))
                    acknowledged.add(key)
                    if number == 50:
                        enough.set()

            for turn in range(2):
                enough = asyncio.Event()
                writers = [asyncio.ensure_future(write(f"{turn} {i}", enough)) for i in range(8)]
                await enough.wait()
                redis.kill()
                outcomes = await asyncio.gather(*writers, return_exceptions=True)
                assert {type(one) for one in outcomes} == {StorageUnavailable}
                redis.start()
            lost = acknowledged - {*await all_keys(storage, "", 1000)}
    print(f"\nAcknowledged, and lost by kill -9: {len(lost)} of {len(acknowledged)}")
    assert bool(lost) is (arguments == ())


# Authentication


async def test_wrong_credentials_are_refused_and_not_shown(program: str, tmp_path: Path) -> None:
    with RunningRedis(program, tmp_path, "--requirepass", "p@ss/w?rd") as redis:
        address = f"127.0.0.1:{redis.port}"
        for credentials in ("", ":hunter2@", "ada:hunter2@"):
            with pytest.raises(StorageError, match="user or the password") as caught:
                await RedisStorage(f"redis://{credentials}{address}").open()
            assert type(caught.value) is StorageError
            told = f"{caught.value} {caught.value.__cause__!r}"
            assert "hunter2" not in told
        async with opened(f"redis://:p%40ss%2Fw%3Frd@{address}/3") as storage:
            await storage.set(put("a"))


async def test_a_user_of_redis_needs_few_permissions(own: RunningRedis, clock: MovedClock) -> None:
    with own.client() as client:
        client.execute_command("ACL SETUSER kv on >s3cret " + PERMISSIONS)
    url = f"redis://kv:s3cret@127.0.0.1:{own.port}"
    async with opened(url, clock) as storage:
        for name, act in acts_on(storage).items():
            assert not isinstance(await outcome_of(act), BaseException), name
        await storage.set(put("a", expires_at=clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        assert await storage.sweep(10) == 1
    with pytest.raises(StorageError, match="does not permit this"):
        await RedisStorage(f"{url}?prefix=other").open()


async def test_redis_is_spoken_to_with_tls(program: str, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    port = free_port()
    args = [
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
    ]
    with RunningRedis(program, tmp_path, *args):
        async with opened(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}") as storage:
            await asyncio.gather(*(storage.set(put(str(i))) for i in range(20)))
            await storage.set(put("big", b"x" * 3_000_000))
            entry = await storage.get(Get(SPACE, "big"))
            assert entry is not None
            assert len(entry.value) == 3_000_000
        async with opened(f"rediss://127.0.0.1:{port}") as storage:
            with pytest.raises(StorageUnavailable) as caught:
                await storage.check()
            assert "certificate" in str(caught.value.__cause__)


async def test_a_probe_finds_what_keeps_redis_from_writing(
    own: RunningRedis, program: str, tmp_path: Path
) -> None:
    async with opened(own.url) as storage:
        await storage.set(put("a"))
        await storage.probe()
        with own.client() as client:
            before = client.hgetall("kv:layout")
            for setting, value, usual, kind in (
                ("maxmemory", 1, 0, StorageFailure.FULL),
                ("min-replicas-to-write", 1, 0, StorageFailure.READ_ONLY),
            ):
                client.config_set(setting, value)
                with pytest.raises(StorageUnavailable) as caught:
                    await storage.probe()
                assert caught.value.kind is kind
                client.config_set(setting, usual)
            await storage.probe()
            assert client.hgetall("kv:layout") == before
            assert sorted(client.keys()) == [
                *("kv:layout", "kv:{0}:changes", "kv:{0}:entry:default:a", "kv:{0}:keys:default"),
            ]
        master = ("--replicaof", "127.0.0.1", str(own.port))
        with RunningRedis(program, tmp_path, *master) as replica, replica.client() as client:
            wait_until(lambda: client.info("replication")["master_link_status"] == "up")
            async with opened(replica.url) as standby:
                with pytest.raises(StorageUnavailable) as caught:
                    await standby.probe()
                assert caught.value.kind is StorageFailure.READ_ONLY


@pytest.mark.parametrize("right", ["evalsha", "hmget", "hset", "hdel", "pexpire", "del", "xadd"])
async def test_a_probe_finds_a_right_that_is_missing(own: RunningRedis, right: str) -> None:
    async with opened(own.url) as storage:
        await storage.set(put("a"))
    with own.client() as client:
        client.execute_command(f"ACL SETUSER kv on >s3cret {PERMISSIONS} +eval -{right}")
    storage = RedisStorage(f"redis://kv:s3cret@127.0.0.1:{own.port}")

    async def start() -> None:
        await storage.open()
        await storage.probe()

    with pytest.raises(StorageError) as caught:
        await start()
    assert caught.value.kind is StorageFailure.REFUSED
    await storage.close()


async def test_it_warns_of_a_clock_that_differs_and_of_eviction(own: RunningRedis) -> None:
    clock = MovedClock(time())
    async with opened(own.url, clock) as storage:
        assert list(await storage.warnings()) == []
        clock.move(-300)
        (warning,) = await storage.warnings()
        assert "s behind that of Redis" in warning
        clock.move(300)
        with own.client() as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
            (warning,) = await storage.warnings()
            assert "maxmemory-policy is allkeys-lru" in warning
            client.execute_command("ACL SETUSER kv on >s3cret " + PERMISSIONS)
    async with opened(f"redis://kv:s3cret@127.0.0.1:{own.port}", clock) as humble:
        assert list(await humble.warnings()) == [], "it may not ask, and goes on"


def sockets_to(port: int) -> list[str]:
    """Return the connections of this machine to a port that are established."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return [one[1] for one in fields if one[2].endswith(f":{port:04X}") and one[3] == "01"]


async def test_a_connection_that_is_given_up_leaves_no_socket(own: RunningRedis) -> None:
    async with opened(f"{own.url}?timeout=1&connections=1") as storage:
        await storage.set(put("a"))
        own.pause()
        try:
            # More than the buffers of the sockets take.
            with pytest.raises(StorageUnavailable):
                await storage.set(put("a", b"x" * 24_000_000))
            await until(lambda: not sockets_to(own.port))
        finally:
            own.resume()


async def test_what_finds_no_connection_waits_for_one_that_there_is(
    program: str, tmp_path: Path
) -> None:
    with RunningRedis(program, tmp_path, "--maxclients", "3") as few:
        async with opened(f"{few.url}?connections=10") as storage:
            acts = [storage.batch(Batch([put(str(i % 16))])) for i in range(200)]
            assert len(await asyncio.gather(*acts)) == 200
            async with opened(few.url) as other:
                with pytest.raises(StorageUnavailable) as caught:  # this one has none at all
                    await other.set(put("a"))
                assert "may or may not" not in caught.value.message
