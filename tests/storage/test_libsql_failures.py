"""Test what LibsqlStorage does if the server fails, refuses, or is gone."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.libsql import TOKEN, StandInLibsql
from servers.relay import Relay
from storage.redis_case import outcome_of
from workertown_kv.errors import StorageError, StorageFailure, StorageUnavailable
from workertown_kv.operations import Batch, Delete, Get, List
from workertown_kv.options import Secret
from workertown_kv.storage import Storage
from workertown_kv.storage.libsql import LibsqlStorage
from workertown_kv.testing import MovedClock
from workertown_kv.testing.conformance.operations import SPACE, put

pytestmark = pytest.mark.anyio

DOUBT = "the write may or may not have happened"
READS = ("get", "list", "get_batch")
WRITES = ("set", "delete", "set_batch", "atomic_batch", "sweep")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandInLibsql]:
    with StandInLibsql(tmp_path / "libsql.sqlite") as server:
        yield server


@pytest.fixture
def relay(server: StandInLibsql) -> Iterator[Relay]:
    with Relay(server.port) as relay:
        yield relay


@pytest.fixture
async def storage(
    server: StandInLibsql, relay: Relay, clock: MovedClock
) -> AsyncIterator[LibsqlStorage]:
    storage = LibsqlStorage(relay.in_front(server.url), token=Secret(TOKEN), clock=clock)
    await storage.open()
    yield storage
    await storage.close()


async def outcome(storage: Storage, name: str) -> object:
    match name:
        case "get":
            return await outcome_of(lambda: storage.get(Get(SPACE, "a")))
        case "list":
            return await outcome_of(lambda: storage.list(List(SPACE, "", 10)))
        case "get_batch":
            gets = Batch([Get(SPACE, "a"), Get(SPACE, "b")])
            return await outcome_of(lambda: storage.batch(gets))
        case "set":
            return await outcome_of(lambda: storage.set(put("a")))
        case "delete":
            return await outcome_of(lambda: storage.delete(Delete(SPACE, "a")))
        case "sweep":
            return await outcome_of(lambda: storage.sweep(10))
    sets = Batch([put("a"), put("b")], atomic=name == "atomic_batch")
    return await outcome_of(lambda: storage.batch(sets))


# Lost answers


@pytest.mark.parametrize("name", READS)
async def test_a_read_without_an_answer_is_sent_again(
    relay: Relay, storage: Storage, name: str
) -> None:
    relay.lose_answers()
    assert not isinstance(await outcome(storage, name), Exception)


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_without_an_answer_is_in_doubt_and_not_sent_again(
    server: StandInLibsql, relay: Relay, storage: Storage, name: str
) -> None:
    asked = len(server.requests)
    relay.lose_answers()
    error = await outcome(storage, name)
    assert isinstance(error, StorageUnavailable)
    assert DOUBT in error.message
    assert len(server.requests) == asked + 1
    assert not isinstance(await outcome(storage, name), Exception)


@pytest.mark.parametrize("name", [*READS, *WRITES])
async def test_nothing_is_in_doubt_while_the_server_is_gone(
    relay: Relay, storage: Storage, name: str
) -> None:
    with relay.refusing():
        error = await outcome(storage, name)
    assert isinstance(error, StorageUnavailable)
    assert error.kind is StorageFailure.UNREACHABLE
    assert "does not answer" in error.message
    assert not isinstance(await outcome(storage, name), Exception)


async def test_an_operation_ends_in_time_though_the_network_hangs(
    server: StandInLibsql, relay: Relay, clock: MovedClock
) -> None:
    url = relay.in_front(server.url)
    storage = LibsqlStorage(f"{url}&timeout=1", token=Secret(TOKEN), clock=clock)
    await storage.open()
    with relay.hanging():
        for name in ("get", "set"):
            error = await outcome(storage, name)
            assert isinstance(error, StorageUnavailable)
            assert "did not answer within 1 s" in error.message
            assert (DOUBT in error.message) is (name == "set")
    await storage.close()


async def test_a_server_that_starts_later_is_found(
    server: StandInLibsql, relay: Relay, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    storage = LibsqlStorage(relay.in_front(server.url), token=Secret(TOKEN), clock=clock)
    with relay.refusing(), caplog.at_level(logging.WARNING):
        assert not await storage.open()
        assert isinstance(await outcome(storage, "get"), StorageUnavailable)
    assert "requests fail until that has changed" in caplog.text
    assert await storage.migrate()
    assert isinstance(await outcome(storage, "set"), str)
    await storage.close()


# Refusals


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (401, {"error": "Unauthorized: The JWT is invalid"}, StorageFailure.REFUSED, "KV_DB_TOKEN"),
        (403, b"", StorageFailure.REFUSED, "refuses the token"),
        (404, {"error": "no database"}, StorageFailure.REMOVED, "no such database"),
        (429, b"", StorageFailure.BUSY, "try again in 1 s"),
        (302, b"", StorageFailure.OTHER, "the token is not sent"),
        (500, b"oops", StorageFailure.UNREACHABLE, "status 500"),
        (502, b"<html>", StorageFailure.UNREACHABLE, "status 502"),
        (200, b"<html>", StorageFailure.UNREACHABLE, "not of libSQL"),
        (200, {"results": []}, StorageFailure.UNREACHABLE, "not of libSQL"),
    ],
)
async def test_a_refused_request_has_its_kind(
    server: StandInLibsql, storage: Storage, status: int, body: Any, kind: str, message: str
) -> None:
    for name in ("get", "set"):
        # After 404, a stream may have ended, so the storage tries again without it.
        server.refusals = [(status, body)] * (1 + (status == 404))
        error = await outcome(storage, name)
        assert isinstance(error, StorageError)
        assert error.kind is kind
        assert message in error.message
        assert (DOUBT in error.message) is (name == "set" and (status >= 500 or status == 200))
        assert TOKEN not in error.message


@pytest.mark.parametrize(
    ("code", "message", "kind", "is_passing"),
    [
        ("SQLITE_BUSY", "SQLite error: database is locked", StorageFailure.BUSY, True),
        ("TRANSACTION_BUSY", "cannot handle more transactions", StorageFailure.BUSY, True),
        ("SQLITE_FULL", "SQLite error: database or disk is full", StorageFailure.FULL, True),
        ("SQLITE_READONLY", "SQLite error: readonly database", StorageFailure.READ_ONLY, True),
        ("SQLITE_IOERR", "SQLite error: disk I/O error", StorageFailure.OTHER, True),
        ("PROXY_ERROR", "error connecting to the primary", StorageFailure.OTHER, True),
        ("BLOCKED", "Operation was blocked: upgrade", StorageFailure.REFUSED, False),
        ("SQL_INPUT_ERROR", "no such table: entry", StorageFailure.REMOVED, False),
        (None, "Parse error: no such table: entry", StorageFailure.REMOVED, False),
        ("SQLITE_TOOBIG", "string or blob too big", StorageFailure.OTHER, False),
    ],
)
async def test_a_failed_statement_has_its_kind_and_only_a_breakdown_leaves_doubt(
    server: StandInLibsql,
    storage: Storage,
    code: str | None,
    message: str,
    kind: str,
    is_passing: bool,
) -> None:
    failed = {"message": message, "code": code}
    steps = {"step_results": [None] * 5, "step_errors": [None, failed, None, None, None]}
    of_batch = {"type": "ok", "response": {"type": "batch", "result": steps}}
    for name, result in (
        ("get", {"type": "error", "error": failed}),
        ("set", {"type": "error", "error": failed}),
        ("atomic_batch", of_batch),
    ):
        server.refusals = [(200, {"baton": None, "base_url": None, "results": [result]})]
        error = await outcome(storage, name)
        assert isinstance(error, StorageError)
        assert error.kind is kind
        assert isinstance(error, StorageUnavailable) is is_passing
        is_breakdown = code in ("SQLITE_IOERR", "PROXY_ERROR")
        assert (DOUBT in error.message) is (is_breakdown and name != "get")


async def test_a_probe_finds_a_database_that_takes_no_writes(
    server: StandInLibsql, storage: Storage
) -> None:
    await storage.probe()
    server.hrana.query_only = True
    with pytest.raises(StorageUnavailable) as caught:
        await storage.probe()
    assert caught.value.kind is StorageFailure.READ_ONLY
    assert await storage.get(Get(SPACE, "a")) is None
    server.hrana.query_only = False
    await storage.probe()


async def test_a_clock_that_differs_is_a_warning(
    server: StandInLibsql, storage: LibsqlStorage
) -> None:
    (warning,) = await storage.warnings()
    assert "libSQL" in warning


async def test_a_token_that_the_server_refuses_ends_the_start(
    server: StandInLibsql, clock: MovedClock
) -> None:
    storage = LibsqlStorage(server.url, token=Secret("another"), clock=clock)
    with pytest.raises(StorageError, match="turso db tokens create"):
        await storage.open()


@pytest.mark.deep
async def test_a_slow_network_loses_no_write(
    server: StandInLibsql, relay: Relay, storage: Storage
) -> None:
    with relay.slow(delay_seconds=0.02):
        versions = await asyncio.gather(*(storage.set(put(str(i))) for i in range(100)))
    for number, version in enumerate(versions):
        entry = await storage.get(Get(SPACE, str(number)))
        assert entry is not None
        assert entry.version == version
