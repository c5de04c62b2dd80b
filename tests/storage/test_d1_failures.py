"""Test what D1Storage does if Cloudflare fails, refuses, or is gone."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from servers.d1 import TOKEN, StandInD1, failed
from servers.relay import Relay
from storage.redis_case import outcome_of
from workertown_kv.errors import StorageError, StorageFailure, StorageUnavailable
from workertown_kv.operations import Batch, Get, List
from workertown_kv.options import Secret
from workertown_kv.storage import Storage
from workertown_kv.storage.d1 import D1Storage
from workertown_kv.testing import MovedClock
from workertown_kv.testing.conformance.operations import SPACE, put

pytestmark = pytest.mark.anyio

DOUBT = "the write may or may not have happened"


@pytest.fixture
def server() -> Iterator[StandInD1]:
    with StandInD1() as server:
        yield server


@pytest.fixture
def relay(server: StandInD1) -> Iterator[Relay]:
    with Relay(server.port) as relay:
        yield relay


@pytest.fixture
async def storage(server: StandInD1, relay: Relay, clock: MovedClock) -> AsyncIterator[D1Storage]:
    storage = D1Storage(f"{relay.in_front(server.url)}&wait=0", token=Secret(TOKEN), clock=clock)
    await storage.open()
    yield storage
    await storage.close()


async def outcome(storage: Storage, name: str) -> object:
    match name:
        case "get":
            return await outcome_of(lambda: storage.get(Get(SPACE, "a")))
        case "list":
            return await outcome_of(lambda: storage.list(List(SPACE, "", 10)))
        case "set":
            return await outcome_of(lambda: storage.set(put("a")))
    return await outcome_of(lambda: storage.batch(Batch([put("a"), put("b")])))


@pytest.mark.parametrize("name", ["get", "list", "set", "set_batch"])
async def test_only_a_lost_write_is_in_doubt(
    server: StandInD1, relay: Relay, storage: Storage, name: str
) -> None:
    asked = len(server.requests)
    relay.lose_answers()
    error = await outcome(storage, name)
    if name in ("get", "list"):
        assert not isinstance(error, Exception)
    else:
        assert isinstance(error, StorageUnavailable)
        assert DOUBT in error.message
        assert len(server.requests) == asked + 1
    with relay.refusing():
        error = await outcome(storage, name)
    assert isinstance(error, StorageUnavailable)
    assert DOUBT not in error.message
    assert not isinstance(await outcome(storage, name), Exception)


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "expected"),
    [
        (401, 10000, "Authentication error", StorageFailure.REFUSED, "D1 Write"),
        (403, 10000, "Authentication error", StorageFailure.REFUSED, "D1 Write"),
        (404, 7404, "could not be found", StorageFailure.REMOVED, "wrangler d1 list"),
        (404, 7003, "Could not route", StorageFailure.REMOVED, "the API at"),
        (400, 7500, "no such table: entry: SQLITE_ERROR", StorageFailure.REMOVED, "no table"),
        (400, 7500, "out of memory: SQLITE_NOMEM", StorageFailure.OTHER, "D1 refuses"),
        (400, 7500, "Exceeded maximum DB size", StorageFailure.FULL, "maximum DB size"),
        (500, 7500, "D1 DB is overloaded", StorageFailure.BUSY, "overloaded"),
        (500, 7500, "internal error", StorageFailure.UNREACHABLE, "status 500"),
    ],
)
async def test_a_refusal_has_its_kind(
    server: StandInD1,
    storage: Storage,
    status: int,
    code: int,
    message: str,
    kind: str,
    expected: str,
) -> None:
    for name in ("get", "set"):
        server.refusals = [(status, failed(code, message), {})]
        error = await outcome(storage, name)
        assert isinstance(error, StorageError)
        assert error.kind is kind
        assert expected in error.message
        assert TOKEN not in error.message
        if name == "get":
            assert DOUBT not in error.message


async def test_several_writes_of_which_one_is_refused_are_in_doubt(
    server: StandInD1, storage: Storage
) -> None:
    server.refusals = [(400, failed(7500, "string or blob too big: SQLITE_TOOBIG"), {})]
    results = await storage.batch(Batch([put("a"), put("b"), Get(SPACE, "c")]))
    for result in results:
        assert isinstance(result, StorageUnavailable)
        assert DOUBT in result.message
    server.refusals = [(400, failed(7500, "string or blob too big: SQLITE_TOOBIG"), {})]
    error = await outcome(storage, "set")
    assert isinstance(error, StorageError)
    assert not isinstance(error, StorageUnavailable)
    assert DOUBT not in error.message


async def test_too_many_requests_are_503_with_a_time_to_try_again(
    server: StandInD1, storage: Storage
) -> None:
    server.refusals = [(429, failed(971, "Please wait"), {"Retry-After": "300"})]
    for name in ("set", "get"):
        error = await outcome(storage, name)
        assert isinstance(error, StorageUnavailable)
        assert error.kind is StorageFailure.BUSY
        assert 290 < error.retry_after <= 300
        assert DOUBT not in error.message


@pytest.mark.parametrize("body", [b"<html>", b'{"success":true,"result":[]}'])
async def test_an_answer_of_another_program_is_no_success(
    server: StandInD1, storage: Storage, body: bytes
) -> None:
    server.refusals = [(200, body, {})] * 2
    for name in ("get", "set"):
        error = await outcome(storage, name)
        assert isinstance(error, StorageUnavailable)
        assert (DOUBT in error.message) is (name == "set")


async def test_a_server_starts_while_cloudflare_is_gone(
    server: StandInD1, relay: Relay, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    storage = D1Storage(relay.in_front(server.url), token=Secret(TOKEN), clock=clock)
    with relay.refusing(), caplog.at_level(logging.WARNING):
        assert not await storage.open()
    assert "requests fail until that has changed" in caplog.text
    assert await storage.migrate()
    assert isinstance(await outcome(storage, "set"), str)
    await storage.close()


async def test_a_token_that_cloudflare_refuses_ends_the_start(
    server: StandInD1, clock: MovedClock
) -> None:
    storage = D1Storage(server.url, token=Secret("another"), clock=clock)
    with pytest.raises(StorageError, match="permission D1 Write"):
        await storage.open()
