"""Test that an error before the body is read does not break the connection of a client."""

from collections.abc import Mapping

import pytest
from starlette.types import Message

from caller import API_KEY, make_server
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

REST = "/client/v4/accounts/any/storage/kv/namespaces"
VALUE = f"{REST}/{'0' * 32}/values/a"
AUTHORIZED = {"authorization": f"Bearer {API_KEY}"}


class Client:
    """Sends a body in pieces, and remembers how many were still unread at the answer."""

    def __init__(self, *pieces: bytes) -> None:
        self.left = list(pieces)
        self.left_at_answer: int | None = None
        self.status = 0

    async def __call__(self, path: str, headers: Mapping[str, str], method: str = "PUT") -> int:
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "http_version": "1.1",
            "scheme": "http",
            "headers": [(name.encode(), text.encode()) for name, text in headers.items()],
        }
        async with make_server(MemoryStorage()) as server:
            await server(scope, self._receive, self._send)
        return self.status

    async def _receive(self) -> Message:
        body = self.left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(self.left)}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.left_at_answer = message["status"], len(self.left)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (f"{VALUE}?expiration_ttl=5", AUTHORIZED, 400),
        (f"{REST}/{'f' * 32}/values/a", AUTHORIZED, 404),
        (VALUE, {"authorization": "Bearer wrong"}, 401),
        ("/v1/kv/a", {**AUTHORIZED, "content-type": "multipart/form-data"}, 415),
        ("/nowhere", AUTHORIZED, 404),
    ],
)
@pytest.mark.parametrize("sent", [{"content-length": "9"}, {"transfer-encoding": "chunked"}])
async def test_the_rest_of_a_small_body_is_read_before_an_error_is_sent(
    path: str, headers: dict[str, str], status: int, sent: dict[str, str]
) -> None:
    client = Client(b"one", b"two", b"six")
    assert await client(path, headers | sent) == status
    assert client.left_at_answer == 0


@pytest.mark.parametrize(
    "sent",
    [
        {"content-length": "9", "expect": "100-continue"},
        {"content-length": str(2 * 1024 * 1024)},
    ],
)
async def test_a_body_that_is_large_or_not_sent_yet_is_left_alone(sent: dict[str, str]) -> None:
    client = Client(b"one", b"two")
    assert await client(f"{VALUE}?expiration_ttl=5", AUTHORIZED | sent) == 400
    assert client.left_at_answer == 2


async def test_no_more_than_a_mebibyte_of_a_body_without_a_length_is_read() -> None:
    client = Client(*[b"x" * 300_000] * 100)
    sent = {"transfer-encoding": "chunked"}
    assert await client(f"{VALUE}?expiration_ttl=5", AUTHORIZED | sent) == 400
    assert client.left_at_answer is not None
    assert client.left_at_answer > 90
