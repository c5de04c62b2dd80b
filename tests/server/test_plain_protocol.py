"""Requests that are answered in place, and by the application: the answers are the same."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import Response

from caller import API_KEY, make_server
from depth import IS_DEEP
from served_socket import (
    SECONDS,
    Served,
    on_both_loops,
    one_answer,
    put,
    request,
    serving,
    statuses,
    until,
)
from workertown_kv import Server
from workertown_kv.server.bounded_protocol import BoundedProtocol
from workertown_kv.server.plain_exchange import PlainExchange
from workertown_kv.server.plain_protocol import BODY_BYTES, PlainProtocol
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage

pytestmark = pytest.mark.anyio
anyio_backend = on_both_loops


# What is answered in place


@pytest.mark.parametrize(
    "sent",
    [
        request(b"GET /v1/kv/a"),
        request(b"HEAD /v1/kv/a"),
        request(b"GET /v1/kv/missing"),
        request(b"GET /v1/kv/a", b"If-None-Match: *"),
        request(b"GET /v1/kv/a", b'If-Match: "another"'),
        request(b"GET /v1/kv/a", b"Accept: application/octet-stream"),
        request(b"GET /v1/kv/bytes"),
        request(b"GET /v1/kv/a", b"Authorization: Bearer wrong"),
        request(b"GET /v1/kv?prefix=a"),
        request(b"GET /v1/kv/a?namespace=default"),
        request(b"GET /v1/kv/a", b"X-Forwarded-For: 192.0.2.1", b"Origin: http://page.example"),
        request(b"GET http://other.example/v1/kv/a"),
        request(b"GET /v1/kv/%C3%A9%2F"),
        put(b"b", b'{"value":1}'),
        put(b"b", b'{"value":' + b" " * (BODY_BYTES - 11) + b"1}"),
        put(b"b", b'{"value":1}', b"If-None-Match: *"),
        put(b"b", b"no JSON"),
        request(b"DELETE /v1/kv/a"),
        request(b"GET /client/v4/accounts/x/storage/kv/namespaces/default/values/a"),
        request(b"GET /a", b"CF-KV-FLPROD-405: https://x/a"),
    ],
)
async def test_what_needs_only_the_storage_is_answered_in_place(
    store: Served, sent: bytes, in_place: list[PlainExchange]
) -> None:
    assert statuses(await store.answer(put(b"a", b'{"value":1}'))) == [200]
    assert await store.answer(sent)
    assert len(in_place) == 2


@pytest.mark.parametrize(
    "sent",
    [
        request(b"GET /v1/kv/a", b"Connection: close"),
        request(b"GET /v1/kv/a", b"Connection: upgrade", b"Upgrade: h2c"),
        request(b"GET /v1/kv/a").replace(b"HTTP/1.1", b"HTTP/1.0"),
        put(b"a", b'{"value":1}', b"Expect: 100-continue"),
        put(b"a", b'{"value":"' + b"x" * BODY_BYTES + b'"}'),
        request(b"PUT /v1/kv/a", b"Transfer-Encoding: chunked", b"Content-Type: application/json")
        + b'b\r\n{"value":1}\r\n0\r\n\r\n',
        request(b"POST /v1/kv", b"Content-Length: 2", body=b"{}"),
        request(b"OPTIONS /v1/kv/a"),
        request(b"GET /health"),
        request(b"GET /nothing"),
        request(b"GET //v1/kv/a"),
    ],
)
async def test_what_is_not_plain_is_answered_by_the_application(
    store: Served, sent: bytes, in_place: list[PlainExchange]
) -> None:
    await store.answer(sent)
    assert not in_place


def _with_middleware(server: Server) -> None:
    class Passing:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, *given: Any) -> None:
            await self.app(*given)

    server.add_middleware(Passing)


def _with_route(server: Server) -> None:
    server.add_route("/own", lambda _: Response("own"))


def _with_handler(server: Server) -> None:
    server.add_exception_handler(ValueError, lambda *_: Response("own"))


@pytest.mark.parametrize("change", [_with_middleware, _with_route, _with_handler])
async def test_a_server_with_something_around_it_answers_everything_itself(
    change: Any, in_place: list[PlainExchange]
) -> None:
    server = make_server(MemoryStorage())
    change(server)
    async with server, serving(server) as served:
        assert statuses(await served.answer(request(b"GET /v1/kv/a"))) == [404]
    assert not in_place


@pytest.mark.parametrize(
    "options",
    [
        {"auth": {"authenticate_request": lambda _, user: user}},
        {"auth": {"api_key": {"get_credentials": lambda _: API_KEY, "api_key": API_KEY}}},
        {"auth": {"api_key": {"verify_credentials": lambda key: key == API_KEY}}},
        {"access": {"rate_limit": {"limiter": lambda _: True}}},
        {"access": {"rate_limit": {"store": "redis://127.0.0.1:1"}}},
    ],
)
async def test_hooks_and_stores_of_a_rate_limit_need_the_application(
    options: Mapping[str, Any],
) -> None:
    server = make_server(MemoryStorage(), **options)
    assert server.plain is None


# The same answers

_KEYS: Final = st.sampled_from(
    ["a", "b", "%61", "a%2Fb", "a/b", "%", "%zz", "%C3%A9", "%ff", "", "a" * 600, "a?x=1", "a%3F"]
)
_PATHS: Final = st.one_of(
    _KEYS.map(lambda key: f"/v1/kv/{key}"),
    _KEYS.map(lambda key: f"/v1/kv?key={key}"),
    _KEYS.map(lambda key: f"/client/v4/accounts/x/storage/kv/namespaces/default/values/{key}"),
    st.sampled_from(
        [
            "/v1/kv",
            "/v1/kv/",
            "/v1/kv?prefix=a&limit=2",
            "/v1/kv?limit=x",
            "/v1/kv/a?namespace=missing",
            "/v1/kv/a#fragment",
            "/V1/kv/a",
            "//v1/kv/a",
            "/v1//kv/a",
            "/v1%2Fkv/a",
            "/%761/kv/a",
            "/health/live",
            "/nothing",
            "*",
            "http://other.example/v1/kv/a",
        ]
    ),
)
_FIELDS: Final = st.sampled_from(
    [
        "Accept: */*",
        "Accept: application/octet-stream",
        "Accept: application/octet-stream;q=0.1, application/json",
        "Authorization: Bearer wrong",
        "Authorization: Basic eDp5",
        "CF-KV-FLPROD-405: https://x/a",
        "CF-KV-Metadata: {}",
        "Content-Encoding: gzip",
        "Content-Type: text/plain",
        "Content-Type: application/x-www-form-urlencoded",
        "Cookie: a=b; c=d",
        "Forwarded: for=192.0.2.7",
        "If-Match: *",
        "If-Match: VERSION",
        'If-Match: "x", "y"',
        "If-Match: nonsense",
        "If-None-Match: *",
        "If-None-Match: VERSION",
        'If-None-Match: W/"x"',
        "Origin: http://page.example",
        "Prefer: return=minimal",
        "Sec-Fetch-Site: cross-site",
        "X-Auth-Email: a@b.example",
        f"X-Auth-Key: {API_KEY}",
        "X-Forwarded-For: 192.0.2.1, 198.51.100.2",
        "X-KV-Namespace: default",
        "X-KV-Namespace: missing",
        "X-KV-Namespace:",
        "X-Other: " + "x" * 300,
        "X-Request-Id: a.b_c-1",
        "X-REQUEST-ID: other",
        "X-Request-Id: not an id",
        "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ]
)
_BODIES: Final = st.sampled_from(
    [
        b'{"value":1}',
        b'{"value":{"a":[1,2]},"ttl":100}',
        b'{"value":"x","metadata":{"a":1}}',
        b'{"value":1,"ttl":0}',
        b'{"value":1,"other":2}',
        b'"dark"',
        b"dark",
        b"",
        b'{"value":"' + b"x" * 3000 + b'"}',
        b"\xff",
    ]
)
_REQUESTS: Final = st.tuples(
    st.sampled_from(["GET", "GET", "HEAD", "PUT", "PUT", "DELETE", "POST", "OPTIONS"]),
    _PATHS,
    st.lists(_FIELDS, max_size=4),
    _BODIES,
    st.booleans(),
)

_OPTIONS: Final[list[dict[str, Any]]] = [
    {},
    {
        "cors": {"origin": "http://page.example", "credentials": True},
        "access": {
            "rate_limit": {"limit": 3, "window": 3600},
            "ip": ["127.0.0.1", "192.0.2.0/24"],
            "trusted_proxies": ["127.0.0.1"],
        },
        "base_path": "/base",
    },
]


@pytest.mark.parametrize("options", _OPTIONS, ids=["defaults", "everything on"])
@settings(max_examples=200 if IS_DEEP else 25)
@given(sent=st.lists(_REQUESTS, min_size=1, max_size=6))
def test_both_ways_give_the_same_answers(
    options: dict[str, Any], sent: list[tuple[str, str, list[str], bytes, bool]]
) -> None:
    asyncio.run(_compare(options, sent))


async def _compare(
    options: dict[str, Any], sent: list[tuple[str, str, list[str], bytes, bool]]
) -> None:
    async with AsyncExitStack() as stack:
        connections = []
        for kind in (PlainProtocol, BoundedProtocol):
            server = await stack.enter_async_context(make_server(MemoryStorage(), **options))
            served = await stack.enter_async_context(serving(server, kind=kind))
            connections.append(await served.connect())
        versions = [b'"none"', b'"none"']
        base = options.get("base_path", "")
        first = ("PUT", "/v1/kv/a", list[str](), b'{"value":[1]}', True)
        # The third time, the header fields need not be parsed.
        thrice = [one for one in sent for _ in range(3)]
        for method, path, fields, body, has_body in [first, *thrice]:
            target = base + path if path.startswith("/") else path
            found = []
            for index, (reader, writer) in enumerate(connections):
                given = [field.encode() for field in fields]
                if has_body:
                    given += [b"Content-Length: %d" % len(body), b"Content-Type: application/json"]
                writer.write(
                    request(
                        f"{method} {target}".encode(),
                        *(field.replace(b"VERSION", versions[index]) for field in given),
                        body=body if has_body else b"",
                    )
                )
                answer = await one_answer(reader, is_head=method == "HEAD")
                version = re.search(rb'\r\netag: ("[^"]+")', answer)
                versions[index] = version[1] if version else versions[index]
                found.append(_comparable(answer))
            assert found[0] == found[1], (method, path, fields, body)
            if b"connection: close" in found[0]:
                break
        for _, writer in connections:
            writer.close()


def _comparable(answer: bytes) -> bytes:
    """Return the answer without what differs: its dates, version, new id and rate limit."""
    answer = re.sub(rb'(\r\netag: |"version":)"[^"]+"', rb"\1V", answer)
    answer = re.sub(rb"\r\n(date|expires): [^\r]+", rb"\r\n\1: D", answer)
    answer = re.sub(
        rb'(x-request-id: |request_id":"|request id )[0-9a-f]{10}-[0-9]+', rb"\1I", answer
    )
    if re.match(rb"HTTP/1.1 [45]", answer):  # with a request id, which may be longer
        answer = re.sub(rb"(\r\ncontent-length: )[1-9]\d*", rb"\1L", answer)
    return re.sub(rb";t=\d+|retry-after: \d+|now is \d+", b"N", answer)


# In order, and together with the rest


async def test_a_plain_request_waits_for_the_answer_before_it(tmp_path: Any) -> None:
    storage = SqliteStorage(tmp_path / "kv.sqlite")
    async with make_server(storage) as server, serving(server) as served:
        sent = put(b"a", b'{"value":1}') + request(b"GET /v1/kv/a") + put(b"a", b'{"value":2}')
        reader, writer = await served.connect()
        writer.write(sent + request(b"GET /v1/kv/a"))
        found = [await one_answer(reader) for _ in range(4)]
        writer.close()
        assert [answer.rpartition(b'"data":')[2] for answer in found] == [
            b"1}",
            b"1}",
            b"2}",
            b"2}",
        ]


async def test_a_body_may_come_later(store: Served, in_place: list[PlainExchange]) -> None:
    sent = put(b"a", b'{"value":"late"}')
    reader, writer = await store.connect()
    for piece in (sent[:-10], sent[-10:-4], sent[-4:]):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    assert statuses(await one_answer(reader)) == [200]
    assert len(in_place) == 1
    writer.close()


async def test_the_size_of_a_body_does_not_count_as_that_of_the_head(
    store: Served, in_place: list[PlainExchange]
) -> None:
    fields = [b"X-Long-%d: %b" % (number, b"x" * 5000) for number in range(20)]
    sent = put(b"a", b'{"value":"' + b"x" * 50_000 + b'"}', *fields)
    reader, writer = await store.connect()
    for start in range(0, len(sent), 10_000):
        writer.write(sent[start : start + 10_000])
        await writer.drain()
        await asyncio.sleep(0.001)
    assert statuses(await one_answer(reader)) == [200]
    assert len(in_place) == 1
    writer.close()


async def test_a_body_that_does_not_come_is_left_to_the_application(
    store: Served, in_place: list[PlainExchange]
) -> None:
    sent = put(b"a", b'{"value":"late"}')
    reader, writer = await store.connect()
    writer.write(sent[:-10])
    protocol = store.protocol(writer)
    assert protocol is not None
    await until(lambda: protocol.is_in_body)
    store.sweep(1)
    writer.write(sent[-10:])
    assert statuses(await one_answer(reader)) == [200]
    assert not in_place
    writer.close()


async def test_a_server_that_stops_answers_what_is_arriving(store: Served) -> None:
    sent = put(b"a", b'{"value":"late"}')
    reader, writer = await store.connect()
    writer.write(sent[:-10])
    protocol = store.protocol(writer)
    assert protocol is not None
    await until(lambda: protocol.is_in_body)
    protocol.shutdown()
    writer.write(sent[-10:])
    answer = await asyncio.wait_for(reader.read(-1), SECONDS)
    assert statuses(answer) == [200]
    assert b"\r\nconnection: close\r\n" in answer
    writer.close()
