"""Test the health of the server and its storage, and what the log says of it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import httpx2
import pytest

from caller import Caller, make_server
from workertown_kv import Runtime, Server, kv
from workertown_kv.entry import Entry
from workertown_kv.errors import StorageError, StorageFailure, StorageUnavailable
from workertown_kv.operations import Batch, Get, Result, Set
from workertown_kv.storage import Migration, health
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

PATHS = ("/health", "/health/live", "/health/ready")
OK = {"status": 200, "success": True, "data": "OK"}
SPACE = "/client/v4/accounts/a/storage/kv/namespaces/00000000000000000000000000000000"


class Fragile(MemoryStorage):
    """Fails as a test says, for all calls, or only for writes."""

    probe_seconds = 0.01

    def __init__(self) -> None:
        super().__init__()
        self.failing: Exception | None = None
        self.refusing: Exception | None = None
        self.asked = asyncio.Condition()
        self.hangs = False

    async def check(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        self._fail(self.failing)

    async def probe(self) -> None:
        async with self.asked:
            self.asked.notify_all()
        self._fail(self.failing or self.refusing)

    async def get(self, operation: Get) -> Entry | None:
        self._fail(self.failing)
        return await super().get(operation)

    async def set(self, operation: Set) -> str:
        self._fail(self.failing or self.refusing)
        return await super().set(operation)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        error = self.failing or self.refusing
        if isinstance(error, StorageError) and not operation.atomic:
            return [error] * len(operation.operations)
        self._fail(error)
        return await super().batch(operation)

    def _fail(self, error: Exception | None) -> None:
        if error is not None:
            raise error


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> Fragile:
    """A storage that is checked again with every question."""
    monkeypatch.setattr(health, "FRESH_SECONDS", 0)
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 20)
    return Fragile()


@pytest.fixture
async def server(fragile: Fragile) -> AsyncIterator[Server]:
    async with make_server(fragile) as server:
        yield server


async def statuses(server: Server) -> list[int]:
    return [(await server.request("GET", path)).status_code for path in PATHS]


def logged(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    records = [one for one in caplog.records if one.levelno == logging.WARNING]
    return [one.getMessage() for one in records if words in one.getMessage()]


async def test_it_needs_no_credentials(call: Caller) -> None:
    for path in PATHS:
        answer = await call.server.request("GET", path)
        assert answer.json() == OK
        head = await call.server.request("HEAD", path)
        assert (head.status_code, head.content) == (200, b"")


async def test_a_storage_that_does_not_answer_is_503_until_it_does(
    server: Server, fragile: Fragile
) -> None:
    fragile.failing = StorageUnavailable("The engine at 10.0.0.7 does not answer")
    assert await statuses(server) == [503, 200, 503]
    for path in ("/health", "/health/ready"):
        answer = await server.request("GET", path)
        assert answer.headers["retry-after"] == "1"
        assert "10.0.0.7" not in answer.text
        head = await server.request("HEAD", path)
        assert (head.status_code, head.content) == (503, b"")
    ready = await server.request("GET", "/health/ready")
    assert ready.json()["error"] == "The storage cannot be used: unreachable"
    fragile.failing = None
    assert await statuses(server) == [200, 200, 200]


@pytest.mark.parametrize("kind", StorageFailure)
@pytest.mark.parametrize("error", [StorageError, StorageUnavailable])
async def test_a_storage_that_takes_no_writes_is_not_ready_and_names_the_kind_alone(
    server: Server, fragile: Fragile, kind: StorageFailure, error: type[StorageUnavailable]
) -> None:
    fragile.refusing = error("The password hunter2 may not write", kind)
    assert await statuses(server) == [200, 200, 503]
    answer = await server.request("GET", "/health/ready")
    assert answer.json()["error"] == f"The storage cannot be used: {kind}"
    assert "hunter2" not in answer.text
    fragile.refusing = None
    assert await statuses(server) == [200, 200, 200]


async def test_an_unforeseen_error_is_a_failure_too(
    server: Server, fragile: Fragile, caplog: pytest.LogCaptureFixture
) -> None:
    fragile.failing = ValueError("the engine is on fire")
    assert await statuses(server) == [503, 200, 503]
    assert "on fire" not in (await server.request("GET", "/health/ready")).text
    [line] = logged(caplog, "Storage failure (failed)")
    assert "ValueError: the engine is on fire" in line


async def test_a_storage_that_hangs_holds_up_no_answer(
    server: Server, fragile: Fragile, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await statuses(server) == [200, 200, 200]
    fragile.hangs = True
    monkeypatch.setattr(health, "READ_SECONDS", 3600)
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.01)
    assert await statuses(server) == [200, 200, 200], "the last answer holds, and nobody waits"


async def test_a_storage_that_hangs_is_unreachable(
    server: Server, fragile: Fragile, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragile.hangs = True
    monkeypatch.setattr(health, "READ_SECONDS", 0.01)
    assert await statuses(server) == [503, 200, 503]
    answer = await server.request("GET", "/health/ready")
    assert answer.json()["error"] == "The storage cannot be used: unreachable"
    fragile.hangs = False
    assert await statuses(server) == [200, 200, 200]


async def test_the_first_answer_waits_for_the_first_check(fragile: Fragile) -> None:
    fragile.failing = StorageUnavailable("It is down")
    for failing, expected in ((fragile.failing, 503), (None, 200)):
        fragile.failing = failing
        server = make_server(fragile)
        both = (server.request("GET", path) for path in ("/health", "/health/ready"))
        assert [one.status_code for one in await asyncio.gather(*both)] == [expected] * 2
        await server.close()


async def test_without_background_tasks_each_request_for_the_health_checks_the_storage() -> None:
    fragile = Fragile()
    server = kv(runtime=Runtime(fragile, background=False), get_env=dict)
    async with server:
        before = asyncio.all_tasks()
        assert await statuses(server) == [200, 200, 200]
        assert asyncio.all_tasks() == before
        fragile.failing = StorageUnavailable("It is down")
        # A failure in a request makes the last result of the check out of date.
        server.health.failed(fragile.failing)
        assert await statuses(server) == [503, 200, 503]


class Closed(MemoryStorage):
    async def open(self) -> Sequence[Migration]:
        raise StorageError("There is no folder /srv", StorageFailure.REMOVED)


async def test_a_storage_that_cannot_be_opened_is_not_ready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = make_server(Closed())
    assert await statuses(server) == [503, 200, 503]
    ready = await server.request("GET", "/health/ready")
    assert ready.json()["error"] == "The storage cannot be used: removed"
    assert logged(caplog, "/srv") == ["Storage failure (removed): There is no folder /srv"]
    assert (await server.request("GET", "/open-api.json")).status_code == 200
    assert (await Caller(server)("GET", "/v1/kv/a")).status_code == 500


# The log


def put(call: Caller) -> Awaitable[httpx2.Response]:
    return call("PUT", "/v1/kv/a", json={"value": 1})


def batch(call: Caller) -> Awaitable[httpx2.Response]:
    operations = [{"op": "set", "key": "a", "value": 1}]
    return call("POST", "/v1/kv", json={"operations": operations})


def rest_put(call: Caller) -> Awaitable[httpx2.Response]:
    return call("PUT", f"{SPACE}/values/a", content=b"1")


def rest_bulk(call: Caller) -> Awaitable[httpx2.Response]:
    return call("PUT", f"{SPACE}/bulk", json=[{"key": "a", "value": "1"}])


def binding_put(call: Caller) -> Awaitable[httpx2.Response]:
    return call("PUT", "/workerd/a", content=b"1", headers={"Content-Length": "1"})


@pytest.mark.parametrize(
    ("act", "status"),
    [(put, 503), (batch, 200), (rest_put, 503), (rest_bulk, 200), (binding_put, 503)],
)
async def test_whichever_door_meets_a_failure_the_log_has_it_once(
    act: Callable[[Caller], Awaitable[httpx2.Response]],
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fragile = Fragile()
    runtime = Runtime(fragile, background=False)  # nobody else shall notice
    call = Caller(kv(runtime=runtime, auth={"api_key": {"api_key": "test-key"}}, get_env=dict))
    fragile.refusing = StorageUnavailable("No space", StorageFailure.FULL)
    fragile.refusing.__cause__ = OSError("quota of\n10 MB")
    for _ in range(3):
        answer = await act(call)
        assert answer.status_code == status, answer.text
    line = "Storage failure (full): No space (OSError: quota of 10 MB)"
    assert logged(caplog, "") == [line]
    ready = await call.server.request("GET", "/health/ready")
    assert ready.json()["error"] == "The storage cannot be used: full"
    info = await call.data("GET", "/admin/info")
    found = info["storage_health"]
    assert (found["reads"], found["writes"]) == ("OK", "full")
    assert found["last_failure"]["kind"] == "full"
    assert found["last_failure"]["message"] == "No space (OSError: quota of 10 MB)"
    fragile.refusing = None
    await call.server.close()


async def test_what_a_storage_lacks_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    class Lacking(MemoryStorage):
        async def list(self, operation: object) -> object:  # type: ignore[override]  # it returns nothing
            raise self.unsupported("listing")  # type: ignore[arg-type]  # an enumeration of texts

    async with make_server(Lacking()) as server:
        assert (await Caller(server)("GET", "/v1/kv")).status_code == 501
        assert (await Caller(server).data("GET", "/admin/info"))["storage_health"] == {
            "reads": "OK",
            "writes": "OK",
            "last_failure": None,
        }
    assert caplog.records == []


async def test_a_failure_and_its_end_are_noticed_without_requests(
    server: Server, fragile: Fragile, caplog: pytest.LogCaptureFixture
) -> None:
    async def asked() -> None:
        for _ in range(3):
            async with asyncio.timeout(60), fragile.asked:
                await fragile.asked.wait()

    await asked()
    fragile.refusing = StorageError("The disk is read-only", StorageFailure.READ_ONLY)
    await asked()
    assert logged(caplog, "") == ["Storage failure (read-only): The disk is read-only"]
    fragile.refusing = None
    await asked()
    assert len(logged(caplog, "")) == 2
    [line] = logged(caplog, "The storage works again: entries can be read and written")
    assert "failures, the first 0 s ago)" in line


# Warnings at the start


async def test_what_a_storage_warns_of_is_in_the_log_once_it_is_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Evicting(MemoryStorage):
        async def warnings(self) -> Sequence[str]:
            return ["The engine may evict entries; set noeviction."]

    async with make_server(Evicting()) as server:
        await server.open()
    assert logged(caplog, "") == ["The engine may evict entries; set noeviction."]


async def test_a_storage_that_cannot_say_what_to_warn_of_is_used_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Mute(MemoryStorage):
        async def warnings(self) -> Sequence[str]:
            raise StorageUnavailable("It is down")

    async with make_server(Mute()) as server:
        assert await statuses(server) == [200, 200, 200]
    assert logged(caplog, "") == []
