"""Test that UpstashStorage keeps the contract, over an emulator that official clients accept."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from redis import Redis

from servers.installed import npm_packages
from servers.redis import RunningRedis
from servers.upstash import StandInUpstash
from storage.redis_case import SPACE, Find, acts_on, outcome_of, put
from ticking import Ticking
from workertown_kv import kv
from workertown_kv.entry import Entry
from workertown_kv.errors import (
    Conflict,
    OptionsError,
    StorageError,
    StorageFailure,
    StorageUnavailable,
    ValueTooLarge,
)
from workertown_kv.operations import (
    Batch,
    Event,
    Get,
    List,
    Operation,
    Precondition,
    ReadChanges,
    Set,
)
from workertown_kv.storage import SWEEP_MARGIN_SECONDS, Clock, Storage
from workertown_kv.storage.redis import RedisStorage
from workertown_kv.storage.upstash import UpstashStorage
from workertown_kv.storage.url import storage_from_url
from workertown_kv.testing import MovedClock, StorageConformance
from workertown_kv.testing.conformance.batches import Batches
from workertown_kv.testing.conformance.case import StorageCase
from workertown_kv.testing.conformance.changes.log import cursor_of_now, seen
from workertown_kv.testing.conformance.preconditions import Preconditions
from workertown_kv.testing.served import free_port

pytestmark = pytest.mark.anyio

BYTES = bytes(range(256)) * 40
"""Values that are not text, and text that looks like the encoding of such a value."""
NO_JSON = (b"", b"\x00", b"\xff", b"\xc3(", BYTES, BYTES.decode("latin-1").encode(), b"OK")


@pytest.fixture(scope="module")
def shared(running: RunningRedis) -> Iterator[StandInUpstash]:
    with StandInUpstash(running.port) as stand_in:
        yield stand_in


@pytest.fixture
def upstash(running: RunningRedis, inside: "Redis") -> Iterator[StandInUpstash]:
    with StandInUpstash(running.port) as stand_in:
        yield stand_in


@asynccontextmanager
async def opened(url: str, clock: Clock | None = None) -> AsyncIterator[UpstashStorage]:
    storage = UpstashStorage(url, clock=clock) if clock else UpstashStorage(url)
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


class OnUpstash(StorageCase):
    value_bytes = 9_900_000  # Upstash takes 10 MB at once
    examples = 8

    @pytest.fixture(autouse=True)
    def on(self, shared: StandInUpstash) -> None:
        self.url = shared.url

    def make(self, clock: Clock, folder: Path) -> Storage:
        return UpstashStorage(
            f"{self.url}?timeout=60&sweep=0&prefix={sha1(bytes(folder)).hexdigest()}", clock=clock
        )


class TestTheCoreOfTheContract(OnUpstash, Preconditions, Batches):
    """Runs the parts of the suite that depend most on the engine."""

    @pytest.mark.deep
    async def test_compare_and_set_loses_no_update(self, storage: Storage) -> None:
        await super().test_compare_and_set_loses_no_update(storage)


@pytest.mark.deep
class TestUpstashStorage(OnUpstash, StorageConformance):
    """Runs the whole suite."""


# The same data through Redis and through Upstash


@pytest.mark.parametrize("buckets", [1, 16])
async def test_what_either_way_has_written_the_other_reads_and_changes(
    running: RunningRedis, upstash: StandInUpstash, clock: MovedClock, buckets: int
) -> None:
    redis = RedisStorage(f"{running.url}?buckets={buckets}", clock=clock)
    await redis.open()
    async with opened(upstash.url, clock) as storage:
        ways: list[Storage] = [redis, storage]
        for writer, reader in (ways, ways[::-1]):
            for number, value in enumerate(NO_JSON):
                key = f"ключ/{number}"
                given = Set(
                    namespace=SPACE,
                    key=key,
                    value=value,
                    is_json=False,
                    metadata='{"é":1}'.encode(),
                    expires_at=clock() + 1.5,
                )
                version = await writer.set(given)
                expected = given.entry(version)
                assert await reader.get(Get(SPACE, key)) == expected
                assert [one.key for one in (await reader.list(List(SPACE, key, 2))).keys] == [key]
                again = await reader.set(put(key, value, precondition=Precondition((version,))))
                entry = await writer.get(Get(SPACE, key))
                assert entry is not None
                assert (entry.value, entry.version) == (value, again)
    await redis.close()


async def test_bytes_and_text_go_in_one_batch_as_they_are(upstash: StandInUpstash) -> None:
    async with opened(upstash.url) as storage:
        sets = [put(str(number), value) for number, value in enumerate(NO_JSON)]
        gets = [Get(SPACE, one.key) for one in sets]
        for atomic in (False, True):
            results = await storage.batch(Batch([*sets, *gets], atomic=atomic))
            entries = [one for one in results if isinstance(one, Entry)]
            assert [one.value for one in entries] == list(NO_JSON)


# Costs


async def test_each_operation_is_one_request(upstash: StandInUpstash) -> None:
    async with opened(upstash.url) as storage:
        both: list[Operation] = [put("a", b"1"), put("b", b"\xff"), Get(SPACE, "a")]
        await storage.batch(Batch(both))
        await storage.list(List(SPACE, "", 10))
        await storage.set(put("c"))  # makes the scripts known
        for act, requests in (
            (lambda: storage.get(Get(SPACE, "a")), 1),
            (lambda: storage.set(put("a")), 1),
            (lambda: storage.batch(Batch(both)), 1),
            (lambda: storage.batch(Batch(both, atomic=True)), 1),
            (storage.check, 1),
            (lambda: storage.list(List(SPACE, "", 10)), 2),
        ):
            before = upstash.requests
            await act()
            assert upstash.requests - before == requests
        for _ in range(2):  # the first time, the script is not known
            upstash.commands.clear()
            await asyncio.gather(*(storage.get(Get(SPACE, "a")) for _ in range(20)))
        # One for each of two gets, and a script for the others.
        sent = sorted(command[0] for command in upstash.commands)
        assert sent == ["EVALSHA", "HMGET", "HMGET"]


async def test_a_reader_says_which_writes_it_wants_to_see(upstash: StandInUpstash) -> None:
    async with opened(upstash.url) as storage:
        await storage.set(put("a"))
        known = upstash.requests
        await storage.get(Get(SPACE, "a"))
    assert upstash.sync_tokens[0] == ""
    assert upstash.sync_tokens[-1] == f"sync-{known}"


async def test_a_server_does_not_pay_for_looking_for_expired_entries_all_the_time(
    upstash: StandInUpstash, clock: MovedClock
) -> None:
    async with opened(upstash.url, clock) as storage:
        await storage.set(put("a", expires_at=clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        asked = upstash.requests
        assert await storage.sweep(10) == 1
        assert await storage.sweep(10) == 0
        assert upstash.requests > asked + 1
        asked = upstash.requests
        clock.move(59)
        assert await storage.sweep(10) == 0
        assert upstash.requests == asked
        clock.move(1)
        await storage.sweep(10)
        assert upstash.requests == asked + 1


async def test_a_reader_of_changes_polls_as_often_as_the_url_says(
    upstash: StandInUpstash, inside: "Redis"
) -> None:
    async with opened(f"{upstash.url}?poll=0.2") as storage:
        begin = await cursor_of_now(storage)
        asked = upstash.requests
        page = await storage.changes(ReadChanges(begin, wait=1))
        assert not page.changes
        # One more at the end, since a pause may end a little early.
        assert upstash.requests - asked <= 1 / 0.2 + 2
        waiting = asyncio.ensure_future(storage.changes(ReadChanges(begin, wait=60)))
        version = await storage.set(put("a"))
        assert seen((await waiting).changes) == [(Event.SET, "a", version)]
    with pytest.raises(OptionsError, match="poll"):
        UpstashStorage(f"{upstash.url}?poll=0")


async def test_a_probe_finds_a_database_that_takes_no_writes(
    upstash: StandInUpstash, inside: "Redis"
) -> None:
    async with opened(upstash.url) as storage:
        await storage.probe()
        inside.config_set("maxmemory", 1)
        try:
            with pytest.raises(StorageUnavailable) as caught:
                await storage.probe()
            assert caught.value.kind is StorageFailure.FULL
        finally:
            inside.config_set("maxmemory", 0)
        await storage.probe()


# Limits


async def test_a_value_that_is_too_large_for_upstash_is_413_and_says_why(
    running: RunningRedis, inside: "Redis"
) -> None:
    with StandInUpstash(running.port, request_bytes=1_000_000) as upstash:
        async with opened(upstash.url) as storage:
            with pytest.raises(ValueTooLarge, match="Limit: 1000000 bytes"):
                await storage.set(put("a", b"x" * 1_000_000))
            results = await storage.batch(Batch([put("b", b"x" * 600_000)] * 2))
            assert [type(one) for one in results] == [ValueTooLarge] * 2
            assert await storage.get(Get(SPACE, "b")) is None
            await storage.set(put("a", b"x" * 900_000))
            upstash.refusals = [413]
            with pytest.raises(ValueTooLarge):
                await storage.set(put("a", b"1"))
        async with kv(
            get_env=lambda: {"KV_DB": upstash.url}, auth={"api_key": {"api_key": "k"}}
        ) as server:
            answer = await server.request(
                "PUT",
                "/v1/kv/a",
                json={"value": "x" * 1_000_000},
                headers={"Authorization": "Bearer k"},
            )
        assert answer.status_code == 413
        assert "Upstash does not accept a request of this size" in answer.json()["error"]


async def test_a_batch_reads_no_more_than_an_answer_may_have(upstash: StandInUpstash) -> None:
    async with opened(upstash.url) as storage:
        await storage.set(put("a", b"x" * 3_000_000))
        results = await storage.batch(Batch([Get(SPACE, "a")] * 3))
        assert [type(one) for one in results] == [Entry, Entry, ValueTooLarge]


async def test_a_clock_that_is_set_back_does_not_stop_the_sweeps(
    upstash: StandInUpstash, clock: MovedClock
) -> None:
    async with opened(upstash.url, clock) as storage:
        assert await storage.sweep(10) == 0
        clock.move(-3600)
        await storage.set(put("a", expires_at=clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        assert await storage.sweep(10) == 1


# Failures


async def test_an_upstash_that_cannot_be_reached_is_503_and_shows_no_token() -> None:
    port = free_port()
    async with opened(f"upstash+http://s3cret@127.0.0.1:{port}?sweep=0") as storage:
        for act in acts_on(storage).values():
            async with Ticking() as passed:
                outcome = await outcome_of(act)
            assert isinstance(outcome, StorageUnavailable)
            assert outcome.message.startswith("Upstash does not answer"), "it was not even sent"
            assert outcome.__cause__ is not None
            assert "s3cret" not in str(outcome.__cause__)
            assert passed.ticks < 100


async def test_connections_that_broke_while_idle_are_not_used(upstash: StandInUpstash) -> None:
    async with opened(upstash.url) as storage:
        for _ in range(3):
            await asyncio.gather(*(storage.set(put(str(i))) for i in range(5)))
            upstash.break_connections()


async def test_an_upstash_that_hangs_is_given_up_in_time(
    require_program: Find, tmp_path: Path
) -> None:
    program = require_program("redis-server", "redis-server")
    with RunningRedis(program, tmp_path) as redis, StandInUpstash(redis.port) as upstash:
        async with opened(f"{upstash.url}?timeout=1&sweep=0") as storage:
            await storage.set(put("kept"))
            redis.pause()
            async with Ticking() as passed:
                outcomes = await asyncio.gather(*map(outcome_of, acts_on(storage).values()))
            assert passed.ticks < 300
            redis.resume()
            assert all(isinstance(one, StorageUnavailable) for one in outcomes)
            assert await storage.get(Get(SPACE, "kept")) is not None


async def test_a_write_whose_answer_is_lost_is_not_sent_again(upstash: StandInUpstash) -> None:
    async with opened(upstash.url) as storage:
        await storage.set(put("a", b"0"))
        for act in (
            lambda: storage.set(put("a", b"1")),
            lambda: storage.batch(Batch([put("a", b"1")], atomic=True)),
            lambda: storage.batch(Batch([put("a", b"1")])),
        ):
            upstash.commands.clear()
            upstash.answers_to_lose = 1
            outcome = await outcome_of(act)
            assert isinstance(outcome, StorageUnavailable)
            assert "may or may not have happened" in outcome.message
            assert len(upstash.commands) == 1
            entry = await storage.get(Get(SPACE, "a"))
            assert entry is not None
            assert entry.value == b"1"


async def test_a_read_whose_answer_is_lost_is_asked_again_once(upstash: StandInUpstash) -> None:
    async with opened(upstash.url) as storage:
        await storage.set(put("a"))
        for act in (
            lambda: storage.get(Get(SPACE, "a")),
            lambda: storage.list(List(SPACE, "", 10)),
            lambda: storage.batch(Batch([Get(SPACE, "a")])),
        ):
            upstash.answers_to_lose = 1
            assert not isinstance(await outcome_of(act), Exception)
        upstash.answers_to_lose = 2
        with pytest.raises(StorageUnavailable):
            await storage.get(Get(SPACE, "a"))
        assert not upstash.answers_to_lose


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_status_that_tells_nothing_of_a_write_is_503(
    upstash: StandInUpstash, status: int
) -> None:
    async with opened(upstash.url) as storage:
        await storage.set(put("a", b"0"))
        upstash.refusals = [status]
        with pytest.raises(StorageUnavailable) as caught:
            await storage.set(put("a", b"1"))
        assert ("may or may not" in caught.value.message) == (status != 429)
        upstash.refusals = [status]
        entry = await outcome_of(lambda: storage.get(Get(SPACE, "a")))
        assert isinstance(entry, StorageUnavailable if status == 429 else Entry)


async def test_what_is_no_upstash_is_503() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        thread = Thread(target=other.serve_forever, args=(0.01,))
        thread.start()
        async with opened(f"upstash+http://token@127.0.0.1:{other.server_port}") as storage:
            with pytest.raises(StorageUnavailable) as caught:
                await storage.set(put("a"))
        other.shutdown()
        thread.join()
    assert "no answer of its protocol" in str(caught.value.__cause__)


async def test_a_wrong_token_is_no_matter_of_trying_again(upstash: StandInUpstash) -> None:
    storage = UpstashStorage(upstash.url.replace(upstash.token, "wr0ng"))
    with pytest.raises(StorageError, match="refuses the token") as caught:
        await storage.open()
    assert type(caught.value) is StorageError
    assert "wr0ng" not in str(caught.value)


async def test_scripts_that_upstash_has_lost_are_sent_again(
    upstash: StandInUpstash, inside: "Redis"
) -> None:
    async with opened(upstash.url) as storage:
        for value in (b"1", b"\xff"):
            await storage.set(put("a", value))
            inside.script_flush()
            await storage.set(put("a", value))
            inside.script_flush()
            assert len((await storage.list(List(SPACE, "", 10))).keys) == 1


async def test_a_conflict_names_every_operation(upstash: StandInUpstash) -> None:
    async with opened(upstash.url) as storage:
        absent = Precondition(negated=True)
        await storage.set(put("a"))
        batch = [
            put("b"),
            put("a", precondition=absent),
            put("a", precondition=Precondition(("x",))),
        ]
        with pytest.raises(Conflict) as caught:
            await storage.batch(Batch(batch, atomic=True))
        assert list(caught.value.failed) == [1, 2]
        assert await storage.get(Get(SPACE, "b")) is None


# The URL


@pytest.mark.parametrize(
    "url",
    [
        "upstash://host",
        "upstash://s3cret@",
        "upstash://user:s3cret@host",
        "upstash://s3cret@host/path",
        "upstash://s3cret@host#x",
        "upstash://s3cret@host:port",
        "upstash://s3cret@host,host",
        "upstash://s3cret@host?prefix",
        "upstash://s3cret%20@host",
    ],
)
def test_a_url_that_is_none_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(OptionsError, match="upstash://TOKEN@HOST") as caught:
        storage_from_url(url)
    assert "s3cret" not in repr(caught.value)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("tls=0", "a parameter 'tls'; expected one of timeout, prefix, sweep"),
        ("time_out=1", "a parameter 'time_out'; did you mean timeout"),
        ("timeout=never", "'never'; expected seconds from 0.01 to 3600"),
        ("timeout=0", "expected seconds from 0.01 to 3600"),
        ("timeout=nan", "expected seconds from 0.01 to 3600"),
        ("sweep=-1", "expected seconds from 0 to 1,000,000"),
        ("sweep=nan", "expected seconds from 0 to 1,000,000"),
        ("prefix=", "expected printable ASCII without spaces and braces"),
    ],
)
def test_a_parameter_that_is_wrong_is_named_with_what_is_right(query: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message) as caught:
        storage_from_url(f"upstash://s3cret@host?{query}")
    assert "s3cret" not in repr(caught.value)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("upstash://t@eu1-a-b-1.upstash.io", "https://eu1-a-b-1.upstash.io:443"),
        ("upstash://t@host:8443?timeout=2&prefix=shop", "https://host:8443"),
        ("upstash+http://t@[::1]:80", "http://[::1]:80"),
    ],
)
def test_a_url_names_where_requests_go(url: str, endpoint: str) -> None:
    from workertown_kv.storage.upstash.url import parse_url

    assert parse_url(url).endpoint == endpoint
    assert isinstance(storage_from_url(url), UpstashStorage)


# The emulator


@pytest.mark.deep
def test_the_stand_in_is_one_for_the_official_client_of_npm(
    upstash: StandInUpstash, require_program: Find
) -> None:
    node = require_program("node", "nodejs")
    clients = Path(__file__).parents[1] / "clients" / "upstash"
    packages = npm_packages(clients, require_program)
    program = Path(__file__).parents[1] / "servers" / "upstash_client.cjs"
    ran = subprocess.run(
        [node, program, upstash.rest_url, upstash.token],
        env={**os.environ, "NODE_PATH": str(packages)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stderr == ""
    assert json.loads(ran.stdout)["passed"] >= 12
