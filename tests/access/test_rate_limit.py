"""Test limits on how often a client may send requests, in process or by the operator's function."""

import asyncio
import logging
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import MutableMapping, Sequence
from functools import partial
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caller import API_KEY, make_server
from extras import install_command
from workertown_kv import OptionsError, Runtime, Server, kv
from workertown_kv.access import Allowance, configured_limiter
from workertown_kv.access.rate_limit import limiter as limiters
from workertown_kv.access.rate_limit.counting import MemoryCounter
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio

ADDRESS = "198.51.100.7"
CREDENTIALS = {"Authorization": f"Bearer {API_KEY}"}
ADA = {"Authorization": f"Basic {b64encode(b'ada:engine').decode()}"}


@pytest.fixture
def moved(clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> MovedClock:
    """Return the clock by which the servers of a test count."""
    by_it = partial(configured_limiter, clock=clock)
    monkeypatch.setattr("workertown_kv.server.server.configured_limiter", by_it)
    return clock


def server_for(*, trusted_proxies: Sequence[str] = (), **rate_limit: Any) -> Server:
    access = {"rate_limit": rate_limit, "trusted_proxies": trusted_proxies}
    auth = {
        "api_key": {"api_key": API_KEY},
        "basic": {"username": "ada", "password": "engine"},
    }
    return make_server(MemoryStorage({"x": 1}), access=access, auth=auth)


async def ask(
    server: Server,
    address: str | None = ADDRESS,
    path: str = "/v1/kv/x",
    headers: dict[str, str] = CREDENTIALS,
) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=server, client=(address or "", 40_000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://kv") as client:
        return await client.get(path, headers=headers)


def told(answer: httpx2.Response) -> tuple[int, int]:
    """Return the requests that `RateLimit` leaves, and the seconds until it allows more."""
    found = re.fullmatch(r'"default";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
    assert found is not None
    return int(found[1]), int(found[2])


async def statuses(server: Server, count: int, address: str = ADDRESS) -> list[int]:
    return [(await ask(server, address)).status_code for _ in range(count)]


async def test_requests_over_the_limit_are_429_until_the_window_has_moved(
    moved: MovedClock,
) -> None:
    server = server_for(limit=3, window=60)
    for remaining, seconds in ((2, 60), (1, 50), (0, 40)):
        answer = await ask(server)
        assert answer.status_code == 200
        assert answer.headers["RateLimit-Policy"] == '"default";q=3;w=60'
        assert told(answer) == (remaining, seconds)
        moved.move(10)
    answer = await ask(server)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "30"
    assert answer.headers["RateLimit-Policy"] == '"default";q=3;w=60'
    assert told(answer) == (0, 30)
    assert answer.json() == {
        "status": 429,
        "success": False,
        "data": None,
        "error": "Too many requests; try again in 30 s",
        "request_id": answer.headers["x-request-id"],
    }
    moved.move(29.9)
    assert await statuses(server, 1) == [429]
    moved.move(0.1)
    # The three requests of the window before count less and less: now two, in 20 seconds one.
    assert await statuses(server, 2) == [200, 429]
    moved.move(19.9)
    assert await statuses(server, 1) == [429]
    moved.move(0.1)
    assert await statuses(server, 2) == [200, 429]
    moved.move(120)
    assert await statuses(server, 4) == [200, 200, 200, 429]


async def test_each_address_is_a_client_of_its_own() -> None:
    server = server_for(limit=1)
    assert await statuses(server, 2) == [200, 429]
    assert await statuses(server, 2, "198.51.100.8") == [200, 429]
    assert await statuses(server, 1, f"::ffff:{ADDRESS}") == [429]


async def test_addresses_of_one_ipv6_network_are_one_client() -> None:
    server = server_for(limit=2)
    assert await statuses(server, 1, "2001:db8:0:1::1") == [200]
    assert await statuses(server, 1, "2001:db8:0:1:ffff:ffff:ffff:ffff") == [200]
    assert await statuses(server, 1, "2001:db8:0:1::2") == [429]
    assert await statuses(server, 1, "2001:db8:0:2::1") == [200]


async def test_those_without_an_address_are_one_client() -> None:
    server = server_for(limit=1)
    assert await statuses(server, 1, "testclient") == [200]
    assert await statuses(server, 1, "") == [429]


async def test_the_client_is_who_a_trusted_proxy_says() -> None:
    server = server_for(limit=1, trusted_proxies=["192.0.2.10"])
    for client in ("203.0.113.1", "203.0.113.2"):
        headers = CREDENTIALS | {"X-Forwarded-For": f"203.0.113.9, {client}"}
        assert (await ask(server, "192.0.2.10", headers=headers)).status_code == 200
        assert (await ask(server, client)).status_code == 429


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/health", {}, 200),
        ("/v1/kv/x", CREDENTIALS, 200),
        ("/v1/kv/none", CREDENTIALS, 404),
        ("/v1/kv?limit=x", CREDENTIALS, 400),
        ("/nowhere", CREDENTIALS, 404),
        ("/v1/kv/x", {}, 401),
    ],
)
async def test_every_answer_tells_what_is_left_and_is_counted(
    path: str, headers: dict[str, str], status: int
) -> None:
    server = server_for(limit=2)
    answer = await ask(server, path=path, headers=headers)
    assert answer.status_code == status
    assert told(answer) == (1, 60)
    assert told(await ask(server)) == (0, 60)


async def test_each_user_is_a_client_where_users_are_counted() -> None:
    server = server_for(limit=1, by="user")
    assert await statuses(server, 2) == [200, 429]
    assert await statuses(server, 1, "203.0.113.9") == [429]
    ada = await ask(server, headers=ADA)
    assert ada.status_code == 200
    assert told(ada) == (0, 60)
    # An unproved user name counts for nobody; public endpoints count for the address.
    assert (await ask(server, headers={})).status_code == 401
    assert (await ask(server, path="/health")).status_code == 200
    assert (await ask(server, path="/health")).status_code == 429
    assert (await ask(server, "203.0.113.9", path="/health")).status_code == 200


async def test_without_the_option_nothing_is_limited() -> None:
    server = make_server(MemoryStorage({"x": 1}))
    answer = await ask(server)
    assert "RateLimit" not in answer.headers
    assert "RateLimit-Policy" not in answer.headers


async def test_a_websocket_over_the_limit_is_closed() -> None:
    server = server_for(limit=1)
    assert await statuses(server, 2) == [200, 429]
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/", "headers": [], "client": (ADDRESS, 1)}
    await server(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_the_lifespan_of_a_server_is_not_counted() -> None:
    server = make_server(
        MemoryStorage({"x": 1}), access={"ip": [ADDRESS], "rate_limit": {"limit": 1}}
    )
    received = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> MutableMapping[str, Any]:
        kind = next(received)
        if kind == "lifespan.shutdown":
            assert await statuses(server, 2) == [200, 429]
        return {"type": kind}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    await server({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_hook_can_decide_with_yes_and_no(*, is_async: bool) -> None:
    seen = []

    def admits(client: str) -> bool:
        seen.append(client)
        return client != f"address:{ADDRESS}"

    async def admits_later(client: str) -> bool:
        await asyncio.sleep(0)
        return admits(client)

    server = server_for(window=90, limiter=admits_later if is_async else admits)
    refused = await ask(server)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "90"
    assert told(refused) == (0, 90)
    admitted = await ask(server, "2001:db8::1")
    assert admitted.status_code == 200
    # Only the hook knows how many requests are left.
    assert "RateLimit" not in admitted.headers
    assert admitted.headers["RateLimit-Policy"] == '"default";q=100;w=90'
    await ask(server, "")
    assert seen == [f"address:{ADDRESS}", "address:2001:db8::/64", "address:unknown"]


async def test_a_hook_gets_the_user_if_users_are_counted() -> None:
    seen = []

    def admits(client: str) -> bool:
        seen.append(client)
        return True

    server = server_for(by="user", limiter=admits)
    await ask(server, headers=ADA)
    await ask(server, path="/health")
    assert seen == ["user:basic:ada", f"address:{ADDRESS}"]


async def test_a_hook_can_tell_what_is_left() -> None:
    given = iter([Allowance(True, 7, 3), Allowance(False, 0, 0), Allowance(True, -1, -1)])
    server = server_for(limiter=lambda _: next(given))
    assert told(await ask(server)) == (7, 3)
    refused = await ask(server)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert told(await ask(server)) == (0, 0)


async def never(_: str) -> bool:
    return await asyncio.Event().wait()


def raises(_: str) -> bool:
    raise LookupError("no such thing")


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        (raises, "LookupError: no such thing"),
        (lambda _: None, "TypeError: it returned NoneType; expected a bool or an Allowance"),
        (lambda _: Allowance(True, "many", 0), "ValueError"),  # type: ignore[arg-type]  # a wrong value, on purpose
        (never, "TimeoutError"),
    ],
)
async def test_a_hook_that_fails_is_logged_once_a_minute_and_requests_are_counted_in_process(
    hook: object,
    reason: str,
    moved: MovedClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(limiters, "ANSWER_SECONDS", 0.01)
    server = server_for(limit=2, limiter=hook)
    assert await statuses(server, 3) == [200, 200, 429]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "access.rate_limit.limiter failed" in record.message
    assert reason in record.message
    assert record.exc_info is not None
    moved.move(60)
    await ask(server)
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("rate_limit", "words"),
    [
        ({"limit": 0}, ["access.rate_limit.limit is 0", "at least 1"]),
        ({"window": -1}, ["access.rate_limit.window is -1"]),
        ({"by": "key"}, ["access.rate_limit.by is str", "'address' or 'user'"]),
        ({"limiter": True}, ["access.rate_limit.limiter is bool", "a function"]),
        ({"store": "redis://h", "limiter": raises}, ["access.rate_limit.limiter", "store"]),
        ({"store": "memcached://s3cret@host"}, ["access.rate_limit.store"]),
        ({"store": "s3cret"}, ["access.rate_limit.store"]),
        ({"store": "redis://"}, []),
        ({"store": "redis://:s3cret@"}, []),
        ({"store": "redis://:s3cret@host:port"}, []),
        ({"store": "redis://host:70000"}, []),
        ({"store": "redis://host/s3cret"}, []),
        ({"store": "redis://host#s3cret"}, []),
        ({"store": "redis://host?s3cret=1"}, []),
        ({"store": "redis://host?socket_timeout=s3cret"}, []),
        ({"store": "redis://[::1"}, []),
        ({"store": "upstash://host"}, []),
        ({"store": "upstash://s3cret@"}, []),
        ({"store": "upstash://s3cret@host/path"}, []),
        ({"store": "upstash://s3cret@host?x"}, []),
        ({"store": "upstash://s3cret@host#x"}, []),
        ({"store": "upstash://default:s3cret@host"}, []),
        ({"store": "upstash://s3cret%20@host"}, []),
        ({"store": "upstash://s3cret%C3%A4@host"}, []),
        ({"store": "upstash+http://s3cret@host:port"}, []),
    ],
)
def test_a_wrong_option_is_named_and_no_secret_is_shown(
    rate_limit: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(OptionsError) as caught:
        server_for(**rate_limit)
    for word in words or ["redis://", "rediss://", "upstash://TOKEN@HOST", "upstash+http://"]:
        assert word in caught.value.message
    assert "s3cret" not in caught.value.message
    assert caught.value.__context__ is None or "s3cret" not in str(caught.value.__context__)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://host:6380/7",
        "redis://user:p%40ss@host/",
        "REDIS://host",
        "redis://[::1]:6379",
        "rediss://host?ssl_cert_reqs=none",
        "upstash://token@host",
        "UPSTASH://tok%2Ben@host:443/",
        "upstash+http://token@[::1]:8080",
    ],
)
def test_the_url_of_a_store_is_accepted_in_every_form(url: str) -> None:
    server_for(store=url)


def test_a_store_that_the_environment_names_wrongly_is_named_by_its_variable() -> None:
    with pytest.raises(OptionsError, match="KV_RATE_LIMIT_STORE is no URL of a store"):
        make_server_from({"KV_RATE_LIMIT_STORE": "file:///tmp/x"}, rate_limit=True)
    with pytest.raises(OptionsError, match="MY_STORE is no URL of a store"):
        make_server_from({"MY_STORE": "?"}, rate_limit={"env": {"store": "MY_STORE"}})
    make_server_from({"KV_RATE_LIMIT_STORE": ""}, rate_limit=True)
    with pytest.raises(OptionsError, match="KV_RATE_LIMIT_STORE is set, and"):
        make_server_from({"KV_RATE_LIMIT_STORE": "redis://localhost"}, rate_limit=False)


def make_server_from(environment: dict[str, str], **access: Any) -> None:
    given: Any = {"access": access}
    kv(given, runtime=Runtime(MemoryStorage()), get_env=lambda: environment)


_WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "redis":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())

from workertown_kv import OptionsError, kv
from workertown_kv.runtime import testing

for given in (False, True, {"store": "upstash://t@h"}, {"limiter": print}):
    kv(runtime=testing(), access={"rate_limit": given})
for options in (
    {"access": {"rate_limit": {"store": "redis://h"}}},
    {"access": {"rate_limit": True}, "get_env": lambda: {"KV_RATE_LIMIT_STORE": "rediss://h"}},
):
    try:
        kv(runtime=testing(), **options)
    except OptionsError as error:
        assert type(error).__name__ == "MissingExtra", error
        print(error.message.partition(": ")[2])
    else:
        raise AssertionError(options)
"""


def test_only_a_store_in_redis_needs_the_extra_package_and_says_how_to_install_it() -> None:
    command = [sys.executable, "-c", _WITHOUT]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.splitlines() == [install_command("rate-limit")] * 2


_MOVES = st.lists(st.tuples(st.integers(0, 90_000), st.integers(1, 6)), min_size=1, max_size=12)


@given(limit=st.integers(1, 5), moves=_MOVES)
@settings(max_examples=2 * settings().max_examples, deadline=None)
def test_a_client_that_waits_as_long_as_it_should_is_let_in_and_never_are_more_than_the_limit(
    limit: int, moves: list[tuple[int, int]]
) -> None:
    clock = MovedClock()
    counter = MemoryCounter(limit, 60, clock)
    admitted: list[float] = []

    def take() -> Allowance:
        allowance = counter.take("somebody")
        if allowance.allowed:
            admitted.append(clock())
        return allowance

    for milliseconds, requests in moves:
        clock.move(milliseconds / 1000)
        for _ in range(requests):
            allowance = take()
            assert allowance.remaining is not None
            assert 0 <= allowance.retry_after <= 60
            if not allowance.allowed:
                assert allowance.remaining == 0
                clock.move(allowance.retry_after)
                assert take().allowed
    for start in admitted:
        # A count of two windows is close to the exact count, but not equal.
        assert sum(start <= one < start + 60 for one in admitted) < 2 * limit + 1


def test_no_more_clients_are_kept_than_there_is_room_for() -> None:
    clock = MovedClock()
    counter = MemoryCounter(1, 60, clock, most_clients=3)
    for client in ("a", "b", "c"):
        assert counter.take(client).allowed
        clock.move(1)
    assert not counter.take("a").allowed
    assert counter.take("d").allowed
    assert len(counter) == 3
    assert not counter.take("b").allowed
    # Its window was the first to begin, so it is forgotten.
    assert counter.take("a").allowed


def test_clients_that_stay_away_are_forgotten() -> None:
    clock = MovedClock()
    counter = MemoryCounter(1, 60, clock)
    for number in range(100):
        counter.take(f"early {number}")
    clock.move(121)
    for number in range(60):
        counter.take(f"late {number}")
    assert len(counter) == 60
