"""Test the body of a put that is refused, or whose client has gone away."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message

from caller import API_KEY, make_server
from workertown_kv import Server
from workertown_kv.endpoints.cloudflare.binding import routes
from workertown_kv.operations import Get
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

MARK = {"cf-kv-flprod-405": "https://fake-host/k"}
KEY = {"authorization": f"Bearer {API_KEY}"}
CHUNKED = {"transfer-encoding": "chunked"}
PIECE = 1024 * 1024


class Sender:
    """Sends a put in pieces, and hangs up afterwards or waits for the answer."""

    def __init__(self, server: Server, *pieces: bytes, hangs_up: bool = False) -> None:
        self.left = list(pieces)
        self.left_at_answer: int | None = None
        self.status = 0
        self._server = server
        self._hangs_up = hangs_up

    async def put(self, headers: dict[str, str], query: str = "") -> int:
        scope = {
            "type": "http",
            "method": "PUT",
            "path": "/workerd/k",
            "raw_path": b"/workerd/k",
            "query_string": query.encode(),
            "http_version": "1.1",
            "scheme": "http",
            "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
        }
        await self._server(scope, self._receive, self._send)
        return self.status

    async def _receive(self) -> Message:
        if self.left:
            body = self.left.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self.left)}
        if not self._hangs_up:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.left_at_answer = message["status"], len(self.left)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with make_server(MemoryStorage()) as server:
        yield server


async def value_in(server: Server) -> bytes | None:
    entry = await server.runtime.storage.get(Get("default", "k"))
    return None if entry is None else entry.value


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"content-length": str(40 * PIECE)}, "", 413),
        (CHUNKED, "", 413),
        (CHUNKED, "expiration_ttl=1", 400),
        ({"content-length": str(4 * PIECE)}, "expiration_ttl=1", 400),
        ({**CHUNKED, "x-kv-namespace": "none"}, "", 400),
    ],
)
async def test_the_rest_of_a_put_that_is_refused_is_read(
    server: Server, headers: dict[str, str], query: str, status: int
) -> None:
    sender = Sender(server, *[b"x" * PIECE] * 40)
    assert await sender.put(KEY | headers, query) == status
    assert sender.left_at_answer == 0
    assert await value_in(server) is None


async def test_no_more_is_read_than_a_worker_has_of_memory(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "DISCARDED_BYTES", 10 * PIECE)
    sender = Sender(server, *[b"x" * PIECE] * 40)
    assert await sender.put(KEY | {"content-length": str(40 * PIECE)}) == 413
    assert sender.left_at_answer == 30


async def test_who_sends_no_credentials_is_not_listened_to(server: Server) -> None:
    sender = Sender(server, *[b"x" * PIECE] * 4)
    assert await sender.put({"content-length": str(4 * PIECE)}) == 401
    assert sender.left_at_answer == 4


@pytest.mark.parametrize(
    ("headers", "hangs_up", "kept"),
    [
        (MARK | CHUNKED, True, b"before"),
        (MARK | CHUNKED, False, b"after"),
        # A body of a known length is whole. Other clients end only a whole body.
        (MARK | {"content-length": "5"}, True, b"after"),
        (CHUNKED, True, b"after"),
    ],
)
async def test_a_stream_is_kept_unless_workerd_hangs_up_at_its_end(
    server: Server, headers: dict[str, str], hangs_up: bool, kept: bytes
) -> None:
    assert await Sender(server, b"before").put(KEY | {"content-length": "6"}) == 200
    await Sender(server, b"aft", b"er", hangs_up=hangs_up).put(KEY | headers)
    assert await value_in(server) == kept
