"""Test counts that several servers share, and a store that is down."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis import Redis
from upstash_redis import Redis as Upstash
from upstash_redis.errors import UpstashError

from caller import API_KEY, make_server
from servers.hanging import HOST, hanging
from servers.redis import RunningRedis
from servers.upstash import StandInUpstash
from workertown_kv import Runtime, Server, kv
from workertown_kv.access import configured_limiter
from workertown_kv.access.rate_limit import limiter as limiters
from workertown_kv.access.rate_limit.counting import Counter
from workertown_kv.access.rate_limit.stores import store_at
from workertown_kv.options import RateLimitOptions
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock
from workertown_kv.testing.served import free_port

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a store answer as late as it does on a busy machine."""
    for module in ("limiter", "stores"):
        monkeypatch.setattr(f"workertown_kv.access.rate_limit.{module}.ANSWER_SECONDS", 60)


@pytest.fixture(scope="module")
def running(
    require_program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningRedis]:
    program = require_program("redis-server", "redis-server")
    with RunningRedis(program, tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def inside(running: RunningRedis) -> Iterator["Redis"]:
    """Return a client for looking into Redis, which is empty before each test."""
    with running.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def upstash(running: RunningRedis, inside: "Redis") -> Iterator[StandInUpstash]:
    with StandInUpstash(running.port) as stand_in:
        yield stand_in


@pytest.fixture
def moved(clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    """Return the clock of the counts in process, and of the retries of a store."""
    by_it = partial(configured_limiter, clock=clock)
    monkeypatch.setattr("workertown_kv.server.server.configured_limiter", by_it)
    return clock


def server_for(store: str, **rate_limit: Any) -> Server:
    chosen = {"store": store, **rate_limit}
    return make_server(MemoryStorage({"x": 1}), access={"rate_limit": chosen})


async def ask(server: Server, address: str = "198.51.100.7") -> httpx2.Response:
    transport = httpx2.ASGITransport(app=server, client=(address, 40_000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://kv") as client:
        return await client.get("/v1/kv/x", headers={"Authorization": f"Bearer {API_KEY}"})


async def statuses(server: Server, count: int) -> list[int]:
    return [(await ask(server)).status_code for _ in range(count)]


def move(inside: "Redis", seconds: float) -> None:
    """Make the windows in Redis older, by shortening the lifetimes of their keys."""
    for key in inside.scan_iter():
        inside.pexpire(key, inside.pttl(key) - round(seconds * 1000))


@pytest.mark.parametrize("kind", ["redis", "upstash"])
async def test_servers_that_name_the_same_store_share_one_count(
    kind: str, running: RunningRedis, upstash: StandInUpstash
) -> None:
    url = running.url if kind == "redis" else upstash.url
    async with server_for(url, limit=3) as one, server_for(url, limit=3) as other:
        told = [(await ask(server)).headers["RateLimit"] for server in (one, other, one)]
        assert told == [f'"default";r={remaining};t=60' for remaining in (2, 1, 0)]
        for server in (one, other):
            answer = await ask(server)
            assert answer.status_code == 429
            assert answer.headers["Retry-After"] == "60"
            assert answer.headers["RateLimit"] == '"default";r=0;t=60'
            assert answer.headers["RateLimit-Policy"] == '"default";q=3;w=60'
        assert (await ask(other, "198.51.100.8")).status_code == 200


async def test_the_variable_of_the_environment_names_the_store(
    running: RunningRedis, inside: "Redis"
) -> None:
    server = kv(
        runtime=Runtime(MemoryStorage()),
        get_env=lambda: {"KV_RATE_LIMIT_STORE": running.url},
        access={"rate_limit": True},
    )
    async with server:
        await ask(server)
    assert inside.keys() == ["workertown-kv:{rate-limit/address:198.51.100.7/100/60/second}"]


async def test_a_server_that_is_opened_again_goes_on(
    running: RunningRedis, upstash: StandInUpstash, caplog: pytest.LogCaptureFixture
) -> None:
    for url, limit in ((running.url, 2), (upstash.url, 3)):
        server = server_for(url, limit=limit)
        for remaining in range(limit - 1, -1, -1):
            async with server:
                answer = await ask(server)
                assert answer.headers["RateLimit"].startswith(f'"default";r={remaining};')
    assert not warnings(caplog)


async def test_keys_have_a_lifetime_and_no_long_name_is_in_them(
    running: RunningRedis, inside: "Redis"
) -> None:
    store = store_at(running.url, 5, 60)
    names = ["user:jwt:" + "x" * 1000, "user:jwt:ä", "user:jwt:\ud800\n", "user:jwt:a}b{/-1"]
    for client in (*names, *names):
        await store.take(client)
    await store.close()
    keys = list(inside.scan_iter())
    assert len(keys) == len(names)
    for key in keys:
        assert isinstance(key, str)
        assert key.startswith("workertown-kv:{rate-limit/")
        assert len(key) < 150
        assert inside.get(key) == "2"
        assert 119_000 < inside.pttl(key) <= 120_000
    assert sum("/digest:" in key for key in keys) == 3


async def test_each_request_asks_the_store_once(upstash: StandInUpstash, inside: "Redis") -> None:
    inside.config_resetstat()
    async with server_for(upstash.url, limit=1) as server:
        assert await statuses(server, 2) == [200, 429]
    assert upstash.requests == 2
    assert [command[0] for command in upstash.commands] == ["EVAL", "EVAL"]


async def test_each_request_takes_one_call_of_redis(running: RunningRedis, inside: "Redis") -> None:
    async with server_for(running.url, limit=1) as server:
        await ask(server)
        inside.config_resetstat()
        assert await statuses(server, 3) == [429, 429, 429]
    assert inside.info("commandstats")["cmdstat_evalsha"]["calls"] == 3
    assert "cmdstat_eval" not in inside.info("commandstats")


Move = Callable[[float], None]


@pytest.fixture(params=["memory", "redis", "upstash"])
async def counting(request: pytest.FixtureRequest, clock: MovedClock) -> Any:
    """Return a counter of each kind, and a function that lets time pass for it."""
    if request.param == "memory":
        yield limiters.Limiter(RateLimitOptions(limit=4, window=1000), clock), clock.move
        return
    inside = request.getfixturevalue("inside")
    kind = "running" if request.param == "redis" else "upstash"
    store = store_at(request.getfixturevalue(kind).url, 4, 1000)
    yield store, partial(move, inside)
    await store.close()


async def test_every_store_counts_alike(counting: tuple[Counter, Move]) -> None:
    counter, pass_time = counting
    seen = []
    # Not at the very moment in which a request stops counting: in Redis, time goes on.
    for seconds, requests in (
        (0, 1),
        (500, 2),
        (300, 2),
        (250, 1),  # 50 s into the second window, in which four still count as three
        (100, 1),
        (250, 2),
        (1450, 1),  # the end of the third, in which two hardly count any more
        (10, 1),
        (3000, 5),
    ):
        pass_time(seconds)
        for _ in range(requests):
            allowance = await counter.take("somebody")
            seen.append((allowance.allowed, allowance.remaining, allowance.retry_after))
    assert seen == [
        (True, 3, 1000),
        (True, 2, 500),
        (True, 1, 500),
        (True, 0, 200),
        (False, 0, 200),
        (True, 0, 200),
        (False, 0, 100),
        (True, 0, 100),
        (False, 0, 100),
        (True, 3, 150),
        (True, 2, 140),
        (True, 3, 1000),
        (True, 2, 1000),
        (True, 1, 1000),
        (True, 0, 1000),
        (False, 0, 1000),
    ]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.message for one in caplog.records if one.levelno == logging.WARNING]


async def test_while_redis_is_down_requests_are_counted_in_process_and_then_in_redis_again(
    require_program: Callable[[str, str], str],
    tmp_path: Path,
    moved: MovedClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "workertown_kv")
    program = require_program("redis-server", "redis-server")
    with RunningRedis(program, tmp_path) as redis:
        async with server_for(redis.url, limit=3) as server:
            assert await statuses(server, 2) == [200, 200]
            redis.kill()
            assert await statuses(server, 4) == [200, 200, 200, 429]
            moved.move(10)
            assert await statuses(server, 1) == [429]
            (warning,) = warnings(caplog)
            assert warning.startswith("The store of the rate limit does not answer (ConnectionErr")
            redis.start()
            # The server does not ask the store again for every request.
            assert await statuses(server, 1) == [429]
            moved.move(5)
            # The store has started again, without its counts.
            assert await statuses(server, 4) == [200, 200, 200, 429]
            again = "The store of the rate limit answers again (2 failures, the first 15 s ago)"
            assert warnings(caplog)[1:] == [again]
            redis.kill()
            moved.move(60)
            assert await statuses(server, 1) == [200]
            assert len(warnings(caplog)) == 3


async def test_a_redis_that_hangs_is_not_waited_for_by_every_request(
    running: RunningRedis,
    inside: "Redis",
    moved: MovedClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with server_for(running.url, limit=3) as server:
        assert await statuses(server, 1) == [200]
        running.pause()
        try:
            monkeypatch.setattr(limiters, "ANSWER_SECONDS", 0.05)
            assert await statuses(server, 1) == [200]
            # If one of these requests asked the store, the test would never end.
            monkeypatch.setattr(limiters, "ANSWER_SECONDS", 3600)
            assert await statuses(server, 3) == [200, 200, 429]
        finally:
            running.resume()
        assert len(warnings(caplog)) == 1
        assert "TimeoutError" in warnings(caplog)[0]
        moved.move(5)
        assert (await ask(server)).headers["RateLimit"].startswith('"default";r=')


async def test_a_store_that_never_was_there_is_no_reason_to_refuse(
    running: RunningRedis, caplog: pytest.LogCaptureFixture
) -> None:
    for url in (
        f"redis://nobody:s3cret@127.0.0.1:{running.port}",
        "redis://:s3cret@nowhere.invalid",
        f"upstash+http://s3cret@127.0.0.1:{free_port()}",
        "upstash://s3cret@nowhere.invalid",
    ):
        caplog.clear()
        async with server_for(url, limit=1) as server:
            assert await statuses(server, 2) == [200, 429]
        assert len(warnings(caplog)) == 1
        assert "s3cret" not in caplog.text


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a self-signed certificate for localhost, with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(made.public_bytes(encoding))
    return path


async def test_redis_is_spoken_to_with_tls_and_a_password(
    require_program: Callable[[str, str], str],
    tmp_path: Path,
    certificate: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    args = [
        *("--tls-port", str(port), "--tls-auth-clients", "no", "--tls-cert-file", str(certificate)),
        *("--tls-key-file", str(tmp_path / "key.pem"), "--requirepass", "p@ss"),
    ]
    base = f"rediss://:p%40ss@localhost:{port}/1"
    with RunningRedis(require_program("redis-server", "redis-server"), tmp_path, *args):
        for _ in range(2):
            async with server_for(f"{base}?ssl_ca_certs={certificate}", limit=1) as server:
                told = (await ask(server)).headers["RateLimit"]
                assert told.startswith('"default";r=0;t=')
            assert not warnings(caplog)
        async with server_for(base) as server:
            await ask(server)
        assert "certificate verify failed" in warnings(caplog)[0]


@pytest.mark.parametrize("url_token", ["wrong", "upstash-token%2Fx"])
async def test_a_token_that_upstash_refuses_is_logged(
    upstash: StandInUpstash, url_token: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = upstash.url.replace(upstash.token, url_token)
    async with server_for(url, limit=1) as server:
        assert await statuses(server, 2) == [200, 429]
    (warning,) = warnings(caplog)
    assert "UpstashError: EVAL: status 401, WRONGPASS invalid or missing auth token" in warning
    assert url_token not in caplog.text


async def test_an_error_of_upstash_is_logged(
    upstash: StandInUpstash, inside: "Redis", caplog: pytest.LogCaptureFixture
) -> None:
    key = "workertown-kv:{rate-limit/address:198.51.100.7/1/60/second}"
    inside.hset(key, "not", "a number")
    async with server_for(upstash.url, limit=1) as server:
        assert await statuses(server, 2) == [200, 429]
    (warning,) = warnings(caplog)
    assert "UpstashError: EVAL: status 400, WRONGTYPE" in warning


async def test_a_connection_whose_tls_handshake_hangs_is_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in ("limiter", "stores"):
        monkeypatch.setattr(f"workertown_kv.access.rate_limit.{module}.ANSWER_SECONDS", 3600)
    async with (
        hanging(monkeypatch, 3600) as (port, gone),
        server_for(f"upstash://token@{HOST}:{port}") as server,
    ):
        assert await statuses(server, 1) == [200]
        await asyncio.wait_for(gone.wait(), 60)
    (warning,) = warnings(caplog)
    assert "ConnectTimeout" in warning


async def test_a_server_that_is_not_upstash_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        thread = Thread(target=other.serve_forever, args=(0.01,))
        thread.start()
        try:
            async with server_for(f"upstash+http://token@127.0.0.1:{other.server_port}") as server:
                assert await statuses(server, 1) == [200]
        finally:
            other.shutdown()
            thread.join()
    (warning,) = warnings(caplog)
    assert "UpstashError: EVAL: status 501, the answer does not fit its REST protocol" in warning


@pytest.mark.parametrize("encoding", ["base64", None])
def test_the_stand_in_for_upstash_is_one_for_the_official_client(
    upstash: StandInUpstash, encoding: Any
) -> None:
    with Upstash(upstash.rest_url, upstash.token, rest_encoding=encoding) as client:
        assert client.set("greeting", "grüß dich")
        assert client.get("greeting") == "grüß dich"
        assert client.get("none") is None
        assert client.incrby("number", 5) == 5
        assert client.pexpire("number", 60_000)
        assert 0 < client.pttl("number") <= 60_000
        assert client.eval("return {KEYS[1], ARGV[1], 7, false}", ["k"], ["v"]) == [
            "k",
            "v",
            7,
            None,
        ]
        assert client.eval("return redis.status_reply('OK')") == "OK"
        pipeline = client.pipeline()
        pipeline.set("a", "1")
        pipeline.get("a")
        assert pipeline.exec() == [True, "1"]
        with pytest.raises(UpstashError, match="unknown command"):
            client.execute(["NONSENSE"])
    with (
        Upstash(upstash.rest_url, "wrong") as client,
        pytest.raises(UpstashError, match="WRONGPASS"),
    ):
        client.get("a")
