"""Test the server as an application: in process, mounted, opened and closed."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

import workertown_kv
from caller import API_KEY, Caller, make_server
from workertown_kv import Runtime, kv
from workertown_kv.operations import Get, Set
from workertown_kv.storage import SWEEP_MARGIN_SECONDS
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio
CREDENTIALS = {"Authorization": f"Bearer {API_KEY}"}


def test_the_public_names_are_these() -> None:
    assert workertown_kv.__all__ == [
        "AsyncClient",
        "Client",
        "KvError",
        "Options",
        "OptionsError",
        "Runtime",
        "Scope",
        "Server",
        "Storage",
        "User",
        "__version__",
        "combine",
        "kv",
    ]
    assert (Path(workertown_kv.__file__).parent / "py.typed").exists()


async def test_fetch_answers_a_request_without_a_socket() -> None:
    server = make_server(MemoryStorage({"a": [1]}))
    request = httpx2.Request("GET", "http://anywhere/v1/kv/a", headers=CREDENTIALS)
    response = await server.fetch(request)
    assert isinstance(response, httpx2.Response)
    assert response.json()["data"] == [1]
    assert response.request is request


async def test_a_server_opens_its_storage_with_the_first_request(tmp_path: Path) -> None:
    call = Caller(make_server(SqliteStorage(tmp_path / "kv.sqlite")))
    await asyncio.gather(*(call.put(str(i), i) for i in range(10)))
    await call.server.close()
    await call.server.close()


async def test_a_server_can_be_opened_again(tmp_path: Path) -> None:
    server = make_server(SqliteStorage(tmp_path / "kv.sqlite"))
    async with server:
        await Caller(server).put("a", 1)
    async with server:
        assert await Caller(server).data("GET", "/v1/kv/a") == 1


def test_the_lifespan_opens_and_closes_the_storage(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    with TestClient(make_server(storage), headers=CREDENTIALS) as client:
        assert client.put("/v1/kv/a", json={"value": 1}).status_code == 200
    with pytest.raises(workertown_kv.KvError, match="closed"):
        asyncio.run(storage.get(Get("default", "a")))


def test_one_server_after_another_event_loop_still_answers(tmp_path: Path) -> None:
    server = make_server(SqliteStorage(tmp_path / "kv.sqlite"))
    call = Caller(server)
    asyncio.run(call.put("a", 1))
    asyncio.run(call.put("b", 2))
    assert asyncio.run(call.data("GET", "/v1/kv/b")) == 2
    asyncio.run(server.close())


def test_an_event_loop_after_another_opens_it_for_many_at_once(tmp_path: Path) -> None:
    async def many(server: workertown_kv.Server) -> set[int]:
        call = Caller(server)
        answers = await asyncio.gather(*(call("GET", "/v1/kv/a") for _ in range(5)))
        await server.close()
        return {answer.status_code for answer in answers}

    server = make_server(SqliteStorage(tmp_path / "kv.sqlite"))
    for _ in range(3):
        assert asyncio.run(many(server)) == {404}


async def test_a_websocket_is_closed_wherever_it_goes() -> None:
    server = make_server(MemoryStorage())
    async with server:
        for path, headers in (("/health", {}), ("/v1/kv/a", {}), ("/v1/kv/a", CREDENTIALS)):
            sent: list[Any] = []

            async def send(message: object, sent: list[Any] = sent) -> None:
                sent.append(message)

            raw = [(name.lower().encode(), text.encode()) for name, text in headers.items()]
            await server({"type": "websocket", "path": path, "headers": raw}, None, send)  # type: ignore[arg-type]  # the websocket sends nothing
            assert sent == [{"type": "websocket.close", "code": 1008}]


def test_it_can_be_mounted_in_another_application(tmp_path: Path) -> None:
    server = make_server(SqliteStorage(tmp_path / "kv.sqlite"), base_path="/inner")
    app = Starlette(routes=[Mount("/outer", app=server)])
    with TestClient(app) as client:
        url = "/outer/inner/v1/kv"
        assert client.get(f"{url}/a").status_code == 401
        assert client.get("/outer/inner/health").status_code == 200
        put = client.put(f"{url}/a%2Fb%ff", json={"value": 1}, headers=CREDENTIALS)
        assert put.status_code == 400
        put = client.put(f"{url}/a%2Fb%2B", json={"value": 1}, headers=CREDENTIALS)
        assert put.status_code == 200
        got = client.get(url, params={"key": "a/b+"}, headers=CREDENTIALS)
        assert got.json()["data"] == 1
        encoded = client.get("/%6Futer/inner/v1%2Fkv/a%2Fb%2B", headers=CREDENTIALS)
        assert encoded.json()["data"] == 1
        # Starlette's Mount does not match a path with a line feed; the query carries such a key.
        put = client.put(url, params={"key": "\n"}, json={"value": 2}, headers=CREDENTIALS)
        assert put.status_code == 200
    asyncio.run(server.close())


async def test_a_path_without_its_raw_form_is_taken_as_it_is() -> None:
    server = make_server(MemoryStorage({"a/é %2F": 1}))
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/kv/a/é %2F",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {API_KEY}".encode())],
    }
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    await server(scope, receive, send)
    assert sent[0]["status"] == 200  # type: ignore[index]  # a message is a mapping of anything


async def test_a_client_that_goes_away_leaves_nothing_half_done() -> None:
    storage = MemoryStorage()
    server = make_server(storage)
    messages: list[dict[str, object]] = [
        {"type": "http.request", "body": b'{"value":1}', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    sent: list[Any] = []

    async def send(message: object) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "PUT",
        "path": "/v1/kv/a",
        "raw_path": b"/v1/kv/a",
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {API_KEY}".encode()),
            (b"content-type", b"application/json"),
        ],
    }
    await server(scope, receive, send)
    assert sent[0]["status"] == 400
    assert await storage.get(Get("default", "a")) is None


async def test_what_has_expired_is_swept_in_the_background(clock: MovedClock) -> None:
    class Counting(MemoryStorage):
        left = 500
        done = asyncio.Event()

        async def sweep(self, limit: int) -> int:
            swept = await super().sweep(limit)
            self.left -= swept
            if self.left == 0:
                self.done.set()
            return swept

    storage = Counting(clock=clock)
    for i in range(500):
        await storage.set(Set(namespace="default", key=str(i), value=b"1", expires_at=clock() + 1))
    clock.move(2 + SWEEP_MARGIN_SECONDS)
    async with make_server(storage):
        async with asyncio.timeout(60):
            await storage.done.wait()


async def test_the_access_log_has_the_path_as_it_was_sent_and_no_query() -> None:
    lines: list[tuple[str, str, int, float]] = []
    server = kv(
        runtime=Runtime(MemoryStorage()),
        auth={"api_key": {"api_key": API_KEY}},
        logger=lambda *line: lines.append(line),
    )
    call = Caller(server)
    await call("PUT", "/v1/kv/a%0Ab", json={"value": "secret"})
    await call("GET", "/v1/kv?key=secret")
    await server.request("GET", "/nowhere")
    assert [line[:3] for line in lines] == [
        ("PUT", "/v1/kv/a%0Ab", 200),
        ("GET", "/v1/kv", 404),
        ("GET", "/nowhere", 401),
    ]
    assert all(0 <= line[3] < 60 for line in lines)


async def test_a_storage_that_cannot_be_opened_is_an_answer_too(tmp_path: Path) -> None:
    (tmp_path / "kv.sqlite").write_bytes(b"no database" * 100)
    call = Caller(make_server(SqliteStorage(tmp_path / "kv.sqlite")))
    answer = await call("GET", "/v1/kv/a")
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.json()["error"]
    assert str(tmp_path) not in answer.text
    (tmp_path / "kv.sqlite").unlink()
    assert (await call("GET", "/v1/kv/a")).status_code == 404
    await call.server.close()


async def test_a_sweep_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(MemoryStorage):
        tries = 0
        done = asyncio.Event()

        async def sweep(self, limit: int) -> int:
            self.tries += 1
            if self.tries == 1:
                raise OSError("the disk is on fire")
            self.done.set()
            return 0

    storage = Failing()
    async with make_server(storage), asyncio.timeout(60):
        await storage.done.wait()
    assert "the disk is on fire" in caplog.text
    with pytest.raises(workertown_kv.KvError, match="closed"):
        await storage.get(Get("default", "a"))
