"""Count the Python functions that a request calls on its way through the server."""

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from caller import API_KEY, Caller, make_server
from served_socket import request, serving
from workertown_kv import Server, Storage
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio

MOST_OF_GET = 38
"""A few more than the present 35."""
CALLS_OF_STORED_KEY = 9
"""A few more than the present 6: the strategies with configured credentials come first."""
MOST_OF_PUT = 80
"""A few more than the present 77, of which 20 are those of a timeout of asyncio."""


MOST_OF_PLAIN_GET = 50
"""A few more than the 47 from the bytes on the socket to those of the answer."""


async def calls_of(
    server: Server, method: str, body: bytes = b"", *, key: str = API_KEY
) -> list[str]:
    """Return the functions that are called from the ASGI call to the end of the answer."""
    statuses: list[int] = []
    calls: list[str] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 0))

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code not in (receive.__code__, send.__code__):
            calls.append(frame.f_code.co_name)

    fields = [
        (b"host", b"localhost"),
        (b"accept", b"*/*"),
        (b"content-type", b"application/json"),
        (b"authorization", f"Bearer {key}".encode()),
    ]
    path = "/v1/kv/a"
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode()}
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        await server({**scope, "query_string": b"", "headers": fields}, receive, send)
    finally:
        sys.setprofile(before)
    assert statuses[0] == 200
    return calls


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_get_makes_few_calls(kind: str, tmp_path: Path) -> None:
    storage: Storage = MemoryStorage() if kind == "memory" else SqliteStorage(tmp_path / "kv")
    async with make_server(storage) as server:
        await Caller(server).put("a", 1)
        await calls_of(server, "GET")
        calls = await calls_of(server, "GET")
    assert len(calls) <= MOST_OF_GET, calls


async def test_a_get_with_a_stored_api_key_reads_the_key_once() -> None:
    async with make_server(MemoryStorage(clock=MovedClock())) as server:
        call = Caller(server)
        await call.put("a", 1)
        made = await call.data("POST", "/admin/api-keys", json={"name": "a"})
        first = await calls_of(server, "GET", key=made["api_key"])
        assert "_accept" in first
        calls = await calls_of(server, "GET", key=made["api_key"])
    assert "_accept" not in calls
    assert len(calls) <= MOST_OF_GET + CALLS_OF_STORED_KEY, calls


async def test_a_put_makes_few_calls() -> None:
    async with make_server(MemoryStorage()) as server:
        await calls_of(server, "PUT", b'{"value":1}')
        calls = await calls_of(server, "PUT", b'{"value":1}')
    assert len(calls) <= MOST_OF_PUT, calls


async def plain_calls_of(server: Server, sent: bytes) -> list[str]:
    """The functions that a protocol calls from the bytes of a request to those of its answer."""
    calls: list[str] = []

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_name)

    async with serving(server) as served:
        _, writer = await served.connect()
        protocol = served.protocol(writer)
        assert protocol is not None
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            protocol.data_received(sent)
        finally:
            sys.setprofile(before)
        writer.close()
    return calls


async def test_a_plain_get_makes_few_calls_and_runs_no_statement(tmp_path: Path) -> None:
    async with make_server(SqliteStorage(tmp_path / "kv")) as server:
        await Caller(server).put("a", 1)
        for target in (b"a", b"missing"):
            sent = request(b"GET /v1/kv/%b" % target, b"Accept: */*")
            # A check of the storage's health, which writes, may come between two requests.
            calls = min([await plain_calls_of(server, sent) for _ in range(5)], key=len)
            assert "_transmit" in calls
            assert "get_up_to" not in calls  # which runs the statement
            assert len(calls) <= MOST_OF_PLAIN_GET, calls
