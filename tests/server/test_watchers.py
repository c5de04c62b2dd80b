"""Test what observers learn of requests, however and wherever the server answers them."""

import asyncio
import json
import re
from typing import Any, NamedTuple

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from caller import API_KEY, Caller, make_server
from served_socket import put, request, serving, until
from servers.lambda_events import ADDRESS, EVENTS, Request, answered
from workertown_kv import Server
from workertown_kv.hosts.aws_lambda import lambda_handler
from workertown_kv.hosts.cloudflare_workers import worker_application
from workertown_kv.http.exchange import AsgiExchange, Exchange
from workertown_kv.storage.memory import MemoryStorage

ACCOUNT = "/client/v4/accounts/{account_id}"
VALUE = f"/client/v4/accounts/a/storage/kv/namespaces/{'0' * 32}/values/a%2Fb"
VALUE_TEMPLATE = f"{ACCOUNT}/storage/kv/namespaces/{{namespace_id}}/values/{{key_name}}"
NEW_ID = re.compile(r"[0-9a-f]{10}-\d+")


class Seen(NamedTuple):
    method: str
    raw_path: bytes | None
    template: str
    status: int
    user: str
    received: int
    sent: int


class Observer:
    """Keeps what it observes, since an exchange may change after its end."""

    def __init__(self, server: Server) -> None:
        self.seen: list[Seen] = []
        self.clients: list[object] = []
        self.ids: list[str] = []
        self.is_asgi: list[bool] = []
        server.watch(self)

    def observe(self, exchange: Exchange, seconds: float) -> None:
        assert 0 < seconds < 60
        self.seen.append(
            Seen(
                exchange.method,
                exchange.raw_path,
                exchange.template,
                exchange.status,
                exchange.user.id,
                exchange.received_bytes,
                exchange.sent_bytes,
            )
        )
        self.clients.append(exchange.client and exchange.client[0])
        self.ids.append(exchange.request_id)
        self.is_asgi.append(isinstance(exchange, AsgiExchange))


ANSWER = len(b'{"status":200,"success":true,"data":1}')
BODY = b'{"value":1}'
USER = "api_key"

REQUESTS = [
    (put(b"a/b", BODY), Seen("PUT", b"/v1/kv/a/b", "/v1/kv/{key}", 200, USER, len(BODY), ANSWER)),
    (
        request(b"GET /v1/kv/a%2Fb?x=1"),
        Seen("GET", b"/v1/kv/a%2Fb", "/v1/kv/{key}", 400, USER, 0, -1),
    ),
    (
        request(b"GET /v1/kv/a%2Fb"),
        Seen("GET", b"/v1/kv/a%2Fb", "/v1/kv/{key}", 200, USER, 0, ANSWER),
    ),
    (request(b"HEAD /v1/kv/a%2Fb"), Seen("HEAD", b"/v1/kv/a%2Fb", "/v1/kv/{key}", 200, USER, 0, 0)),
    (
        request(b"GET /v1/kv/a%2Fb", b"If-None-Match: *"),
        Seen("GET", b"/v1/kv/a%2Fb", "/v1/kv/{key}", 304, USER, 0, 0),
    ),
    (
        request(b"GET %b" % VALUE.encode()),
        Seen("GET", VALUE.encode(), VALUE_TEMPLATE, 200, USER, 0, 1),
    ),
    (
        request(b"GET /v1/kv/a", b"Authorization: Bearer wrong"),
        Seen("GET", b"/v1/kv/a", "/v1/kv/{key}", 401, "", 0, -1),
    ),
]
"""Requests that are plain, and what is seen of them; -1 is a size of some error."""


@pytest.mark.anyio
@pytest.mark.parametrize("is_asgi", [False, True])
async def test_both_ways_of_answering_show_the_same(*, is_asgi: bool) -> None:
    async with make_server(MemoryStorage()) as server, serving(server) as served:
        observer = Observer(server)
        for sent, expected in REQUESTS:
            line, rest = sent.split(b"\r\n", 1)
            # The application answers requests that close their connections.
            close = b"Connection: close\r\n" if is_asgi else b""
            _, writer = await served.connect()
            writer.write(b"%b\r\n%b%b" % (line, close, rest))
            await until(lambda: len(observer.seen) == 1)
            seen = observer.seen.pop()
            assert seen._replace(sent=expected.sent) == expected
            assert seen.sent == expected.sent or (expected.sent < 0 and seen.sent > 50)
            assert observer.is_asgi.pop() is is_asgi
            assert observer.clients.pop() == "127.0.0.1"
            writer.close()
    assert all(map(NEW_ID.fullmatch, observer.ids))
    assert len(set(observer.ids)) == len(REQUESTS)


@pytest.mark.parametrize("kind", EVENTS)
def test_lambda_shows_the_same(kind: str) -> None:
    server = make_server(MemoryStorage({"a": 1}))
    observer = Observer(server)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    handler = lambda_handler(server)
    fields = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
    for sent in (
        Request("GET", "/v1/kv/a", headers=fields),
        Request("PUT", "/v1/kv/a", headers=fields, body=BODY),
    ):
        assert answered(json.loads(json.dumps(handler(EVENTS[kind](sent), None)))).status == 200
    loop.run_until_complete(server.close())
    asyncio.set_event_loop(None)
    loop.close()
    path, template = b"/v1/kv/a", "/v1/kv/{key}"
    assert observer.seen == [
        Seen("GET", path, template, 200, USER, 0, ANSWER),
        Seen("PUT", path, template, 200, USER, len(BODY), ANSWER),
    ]
    assert observer.clients == [ADDRESS, ADDRESS]


@pytest.mark.anyio
async def test_workers_show_the_same() -> None:
    server = make_server(MemoryStorage({"a": 1}))
    observer = Observer(server)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/kv/a",
        "raw_path": b"/v1/kv/a",
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {API_KEY}".encode()),
            (b"cf-connecting-ip", ADDRESS.encode()),
        ],
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: object) -> None:
        pass

    await worker_application(server)(scope, receive, send)
    await server.close()
    assert observer.seen == [Seen("GET", b"/v1/kv/a", "/v1/kv/{key}", 200, USER, 0, ANSWER)]
    assert observer.clients == [ADDRESS]


@pytest.mark.anyio
async def test_a_stream_counts_what_it_sends_and_an_import_what_it_reads() -> None:
    async with make_server(MemoryStorage({"a": "x" * 300_000, "b": 2})) as server:
        observer, call = Observer(server), Caller(server)
        export = await call("GET", "/admin/export", headers={"Accept-Encoding": "identity"})
        assert export.status_code == 200
        fields = {"Content-Type": "application/x-ndjson"}
        assert (
            await call("POST", "/admin/import", content=export.content, headers=fields)
        ).is_success
    size = len(export.content)
    assert size > 300_000
    (exported, imported) = observer.seen
    assert (exported.template, exported.received, exported.sent) == ("/admin/export", 0, size)
    assert (imported.template, imported.received) == ("/admin/import", size)


@pytest.mark.anyio
async def test_unknown_paths_and_routes_of_the_operator_have_one_template() -> None:
    async def own(_: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    server = make_server(MemoryStorage())
    server.router.routes.append(Route("/own/{name}", own))
    async with server:
        observer, call = Observer(server), Caller(server)
        assert (await call("GET", "/own/x")).text == "hello"
        for path in ("/nowhere", "/v1/kvx", "/client/v4/x", "/client/v4/accounts/a/x"):
            assert (await call("GET", path)).status_code == 404
    assert {seen.template for seen in observer.seen} == {"other"}
    assert (observer.seen[0].status, observer.seen[0].sent) == (200, 5)
