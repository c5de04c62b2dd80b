"""Test HTTP on a socket: what a client may send, in which order, and for how long."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from caller import make_server
from served_socket import (
    KEY,
    MIB,
    SECONDS,
    Served,
    on_both_loops,
    put,
    request,
    serving,
    statuses,
    until,
)
from workertown_kv.server.bounded_protocol import (
    HEAD_BYTES,
    LINGER_SECONDS,
    MOST_FIELDS,
    PIECE_BYTES,
    TARGET_BYTES,
    BoundedProtocol,
)
from workertown_kv.server.plain_protocol import PlainProtocol
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio
anyio_backend = on_both_loops


@pytest.fixture(params=[BoundedProtocol, PlainProtocol])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    async with (
        make_server(MemoryStorage()) as server,
        serving(server, kind=request.param) as served,
    ):
        yield served


LAST = request(b"GET /health", b"Connection: close")


def envelope(received: bytes) -> Any:
    """Return the error in a single answer, which must be the last of its connection."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert b"\r\ncontent-type: application/json\r\n" in head
    error = json.loads(body)
    assert error.keys() == {"status", "success", "data", "error"}
    assert (error["status"], error["success"], error["data"]) == (statuses(head)[0], False, None)
    return error


# The order of answers


async def test_pipelined_requests_are_answered_in_order(store: Served) -> None:
    sent = (
        put(b"a", b'{"value":"first"}')
        + request(b"GET /v1/kv/a")
        + request(b"GET /v1/kv/missing")
        + request(b"DELETE /v1/kv/a")
        + request(b"GET /v1/kv/a")
        + LAST
    )
    assert statuses(await store.all(sent)) == [200, 200, 404, 200, 404, 200]


async def test_no_more_pipelined_requests_wait_than_one_piece_has() -> None:
    waiting: list[int] = []

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        waiting.append(max(len(one.pipeline) for one in served.protocols))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()[:0]})

    short = b"GET / HTTP/1.1\r\nHost:\r\n\r\n"
    many = 8 * PIECE_BYTES // len(short)
    async with serving(count) as served:
        received = await served.all(short * many + LAST)
    assert statuses(received) == [204] * (many + 1)
    assert max(waiting) <= PIECE_BYTES // len(short) + 1


async def test_what_is_no_http_is_refused_after_the_answers_before_it(store: Served) -> None:
    received = await store.all(request(b"GET /v1/kv/missing") + b"garbage\r\n\r\n")
    assert statuses(received) == [404, 400]
    last = b"HTTP/1.1 " + received.rpartition(b"HTTP/1.1 ")[2]
    assert envelope(last)["error"].startswith("The request is not valid HTTP/1.1: ")


async def test_a_body_that_is_no_http_is_refused_and_stores_nothing(store: Served) -> None:
    chunked = (b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    sent = request(b"PUT /v1/kv/a", *chunked, body=b'4\r\n{"va\r\nnot a length\r\n')
    assert envelope(await store.all(sent))["status"] == 400
    assert statuses(await store.all(request(b"GET /v1/kv/a") + sent)) == [404, 400]
    assert statuses(await store.all(sent + request(b"GET /v1/kv/a"))) == [400]


# The rules of HTTP


async def test_the_server_requests_the_body_if_the_client_expects_that(store: Served) -> None:
    reader, writer = await store.connect()
    body = b'{"value":1}'
    writer.write(put(b"a", b"", b"Expect: 100-continue", length=len(body)))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body + LAST)
    assert statuses(await reader.read(-1)) == [200, 200]
    writer.close()


async def test_an_unrequested_body_is_not_taken_for_a_request(store: Served) -> None:
    reader, writer = await store.connect()
    writer.write(put(b"a", b"", b"Expect: 100-continue", length=100).replace(KEY, b""))
    received = await reader.readuntil(b"}")
    assert statuses(received) == [401]
    assert b"\r\nconnection: close" in received
    writer.write(LAST + LAST)
    with suppress(ConnectionError):
        assert await reader.read(-1) == b""
    writer.close()


async def test_http_1_0_needs_no_host_and_closes_the_connection(store: Served) -> None:
    received = await store.all(b"GET /health HTTP/1.0\r\n\r\n")
    assert statuses(received) == [200]
    assert b"\r\nconnection: close" in received


async def test_head_has_no_body(store: Served) -> None:
    received = await store.all(request(b"HEAD /health") + LAST)
    head = received.partition(b"\r\n\r\n")[0]
    assert b"\r\ncontent-length: 41" in head
    assert received[len(head) + 4 :].startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://there:1/v1/kv/a%2Fb?key=c", "/v1/kv/a/b", b"key=c"),
        (b"HTTPS://there:1", "/", b""),
        (b"http://there:1?a", "/", b"a"),
        (b"/http://there:1/", "/http://there:1/", b""),
        (b"*", "*", b""),
        ("/ключ?key=é".encode(), "/ключ", b"key=%C3%A9"),
        (b"/\xff%ff", "/\ufffd\ufffd", b""),
    ],
)
async def test_a_target_may_be_a_url_and_need_not_be_encoded(
    target: bytes, path: str, query: bytes
) -> None:
    scopes: list[Scope] = []

    async def see(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with serving(see) as served:
        await served.all(request(b"GET %b" % target, b"Connection: close"))
    (scope,) = scopes
    assert (scope["path"], scope["query_string"]) == (path, query)
    assert dict(scope["headers"])[b"host"] == (b"x" if target[:1] in b"/*" else b"there:1")


async def test_a_request_to_upgrade_is_answered_and_so_is_the_next(store: Served) -> None:
    upgrade = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: x")
    body = b'{"value":1}'
    chunked = (b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    requests = [
        request(b"GET /v1/kv/a", *upgrade),
        put(b"a", body, *upgrade),
        request(b"GET /v1/kv/a", *upgrade),
        request(b"PUT /v1/kv/b", *chunked, *upgrade, body=b"b\r\n%b\r\n0\r\n\r\n" % body),
        put(b"c", body),
        LAST,
    ]
    assert statuses(await store.all(b"".join(requests))) == [404, 200, 200, 200, 200, 200]
    reader, writer = await store.connect()
    for byte in b"".join(requests):
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert statuses(await reader.read(-1)) == [200, 200, 200, 200, 200, 200]
    writer.close()


REFUSED = {
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "Host"),
    "a coding in HTTP/1.0": (
        b"PUT /v1/kv/a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "expected Content-Length",
    ),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400, "Host"),
    "two hosts": (request(b"GET /", b"Host: y"), 400, "host"),
    "two lengths": (put(b"a", b"1", b"Content-Length: 2"), 400, "Content-Length"),
    "a length and a coding": (put(b"a", b"1", b"Transfer-Encoding: chunked"), 400, "present with"),
    "two codings": (
        request(b"PUT /", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        400,
        "Transfer-Encoding",
    ),
    "another coding": (request(b"PUT /", b"Transfer-Encoding: gzip"), 501, "expected chunked"),
    "one more coding": (
        request(b"PUT /", b"Transfer-Encoding: gzip, chunked"),
        501,
        "expected chunked",
    ),
    "not a path": (request(b"GET here"), 400, "HTTP"),
    "a tunnel": (request(b"CONNECT there:1"), 400, "neither a path nor a URL"),
    "another scheme": (request(b"GET ftp://there/"), 400, "neither a path nor a URL"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "HTTP/1.1"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "method"),
    "a long target": (request(b"GET /" + b"a" * TARGET_BYTES), 414, "65,534"),
    "an endless target": (b"GET /" + b"a" * 2 * HEAD_BYTES, 414, "65,534"),
    "many fields": (request(b"GET /", *[b"a: b"] * MOST_FIELDS), 431, "100"),
    "endless fields": (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * PIECE_BYTES, 431, "100"),
    "a long field": (request(b"GET /", b"a: " + b"b" * HEAD_BYTES), 431, "131,072"),
    "an endless field": (b"GET / HTTP/1.1\r\na: " + b"b" * 2 * HEAD_BYTES, 431, "131,072"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_http_forbids_is_refused_with_the_envelope(store: Served, what: str) -> None:
    sent, status, words = REFUSED[what]
    error = envelope(await store.all(sent + LAST))
    assert error["status"] == status
    assert words in error["error"]


async def test_fields_behind_a_body_are_bounded_and_mean_nothing(store: Served) -> None:
    chunked = (b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    whole = request(b"PUT /v1/kv/a", *chunked, body=b'b\r\n{"value":1}\r\n0\r\n%b\r\n')
    assert statuses(await store.all(whole % b"If-Match: x\r\n" + LAST)) == [200, 200]
    endless = await store.all(whole % (b"a: " + b"b" * 2 * HEAD_BYTES))
    assert statuses(endless) == [431]


async def test_the_largest_head_is_accepted_however_it_arrives(store: Served) -> None:
    sent = request(b"GET /v1/kv/a", *[b"a: " + b"b" * 1200] * (MOST_FIELDS - 3)) + LAST
    assert statuses(await store.all(sent)) == [404, 200]
    reader, writer = await store.connect()
    for start in range(0, len(sent), 5000):
        writer.write(sent[start : start + 5000])
        await writer.drain()
        await asyncio.sleep(0)
    assert statuses(await reader.read(-1)) == [404, 200]
    writer.close()


async def test_bytes_that_are_not_ascii_arrive_as_they_are_except_in_a_target(
    store: Served,
) -> None:
    body = '{"value":"é"}'.encode()
    sent = (
        put("a/é".encode(), body, "X-Name: é".encode()) + request(b"GET /v1/kv/a%2F%C3%A9") + LAST
    )
    received = await store.all(sent)
    assert statuses(received) == [200, 200, 200]
    assert received.count('"data":"é"'.encode()) == 2
    reader, writer = await store.connect()
    for byte in sent:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    assert (await reader.read(-1)).count('"data":"é"'.encode()) == 2
    writer.close()


# Clients that go on sending, or send nothing more


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (put(b"a", b"", length=24 * MIB).replace(KEY, b""), 401),
        (put(b"a", b"", length=64 * MIB), 413),
        (put(b"a", b"", b"Connection: close", length=64 * MIB), 413),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
    ],
)
async def test_a_client_that_still_sends_sees_the_answer(
    store: Served, sent: bytes, status: int
) -> None:
    reader, writer = await store.connect()
    writer.write(sent)
    # More than all buffers on the way hold, before it reads the answer.
    with suppress(ConnectionError):
        for _ in range(20):
            writer.write(bytes(MIB))
            await writer.drain()
    received = await asyncio.wait_for(reader.readuntil(b"}"), SECONDS)
    assert statuses(received) == [status]
    writer.close()


async def test_a_client_that_sends_on_after_the_last_answer_is_cut_off(store: Served) -> None:
    reader, writer = await store.connect()
    writer.write(put(b"a", b"", b"Connection: close", length=64 * MIB))
    assert statuses(await reader.read(-1)) == [413]
    store.sweep(LINGER_SECONDS)
    assert len(store.protocols) == 1
    store.sweep(1)
    await until(lambda: not store.protocols)
    writer.close()


async def test_requests_are_answered_though_the_client_sends_nothing_more(store: Served) -> None:
    reader, writer = await store.connect()
    writer.write(put(b"a", b'{"value":1}') + request(b"GET /v1/kv/a"))
    writer.write_eof()
    assert statuses(await reader.read(-1)) == [200, 200]
    writer.close()
    await until(lambda: not store.protocols)


async def test_a_stream_at_whose_end_workerd_sends_nothing_more_is_not_kept(store: Served) -> None:
    fields = (b"CF-KV-FLPROD-405: https://fake-host/a", b"Transfer-Encoding: chunked")
    reader, writer = await store.connect()
    writer.write(request(b"PUT /a", *fields, body=b"4\r\nhalf\r\n0\r\n\r\n"))
    writer.write_eof()
    assert statuses(await reader.read(-1)) == [400]
    writer.close()
    assert statuses(await store.all(request(b"GET /v1/kv/a") + LAST)) == [404, 200]


async def test_half_a_request_ends_with_its_connection(store: Served) -> None:
    for sent in (b"", b"GET / HT", put(b"a", b'{"val', length=100)):
        reader, writer = await store.connect()
        writer.write(sent)
        writer.write_eof()
        assert await reader.read(-1) == b""
        writer.close()
    await until(lambda: not store.protocols and not store.state.tasks)


# Time


@pytest.mark.parametrize("sent", [b"", b"G", b"\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX-Half: "])
async def test_half_a_head_is_cut_off(store: Served, sent: bytes) -> None:
    reader, writer = await store.connect()
    store.sweep(3)
    writer.write(sent)
    await asyncio.sleep(0.01)
    store.sweep(2)
    assert len(store.protocols) == 1
    store.sweep(4)
    with suppress(ConnectionError):
        assert await reader.read(-1) == b""
    writer.close()


async def test_an_idle_connection_is_closed_and_a_used_one_stays(store: Served) -> None:
    reader, writer = await store.connect()
    for _ in range(3):
        writer.write(request(b"GET /v1/kv/a"))
        assert statuses(await reader.readuntil(b"}")) == [404]
        store.sweep(5)
        assert len(store.protocols) == 1
    store.sweep(1)
    with suppress(ConnectionError):
        assert await reader.read(-1) == b""
    writer.close()


async def test_an_answer_may_take_longer_than_a_client() -> None:
    async with serving(answering_after(done := asyncio.Event())) as served:
        reader, writer = await served.connect()
        writer.write(request(b"GET /"))
        await until(lambda: bool(served.state.tasks))
        served.sweep(100)
        done.set()
        assert statuses(await reader.readuntil(b"\r\n\r\n")) == [204]
        writer.close()


def answering_after(done: asyncio.Event) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await done.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    return answer


async def test_a_client_that_reads_nothing_is_cut_off_and_a_slow_one_is_not() -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while served.protocols:
            await send({"type": "http.response.body", "body": bytes(MIB), "more_body": True})
        await send({"type": "http.response.body"})

    async with serving(endless) as served:
        connection = socket.create_connection(("127.0.0.1", served.port))
        with connection:
            connection.sendall(request(b"GET /"))
            connection.setblocking(False)
            await until(lambda: any(one.flow.write_paused for one in served.protocols))
            (protocol,) = served.protocols
            loop = asyncio.get_running_loop()
            for _ in range(3):
                served.sweep(5)
                left = protocol._socket.get_write_buffer_size()
                while protocol._socket.get_write_buffer_size() == left:
                    await loop.sock_recv(connection, MIB)
                await until(lambda: protocol.flow.write_paused)
            assert served.protocols == {protocol}
            served.sweep(7)
            await until(lambda: not served.protocols)


# Many


async def test_connections_beyond_the_bound_are_refused_and_then_cut_off() -> None:
    done = asyncio.Event()
    async with serving(answering_after(done), connections=2, refused=1) as served:
        kept = [await served.connect() for _ in range(2)]
        reader, writer = await served.connect()
        answer = await reader.read(-1)
        assert envelope(answer)["status"] == 503
        assert b"\r\nretry-after: 1\r\n" in answer
        with suppress(ConnectionError):
            assert await served.all(b"") == b""
        writer.close()
        await until(lambda: len(served.protocols) == 2)
        done.set()
        for reader, writer in kept:
            writer.write(request(b"GET /"))
            assert statuses(await reader.readuntil(b"\r\n\r\n")) == [204]
            writer.close()


# The end, and another application


async def test_an_idle_connection_ends_at_once_and_a_busy_one_after_its_answer() -> None:
    async with serving(answering_after(done := asyncio.Event())) as served:
        idle, _idle_writer = await served.connect()
        busy, busy_writer = await served.connect()
        busy_writer.write(request(b"PUT /", b"Expect: 100-continue", b"Content-Length: 1"))
        await until(lambda: bool(served.state.tasks))
        for one in served.protocols:
            one.shutdown()
        assert await idle.read(-1) == b""
        busy_writer.write(b"1")
        done.set()
        assert statuses(await busy.read(-1)) == [204]
        busy_writer.close()
        _idle_writer.close()


def answering(status: int, before: Callable[[], Awaitable[object]]) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await before()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})

    return answer


async def test_another_application_answers_what_the_first_has_not_begun() -> None:
    done = asyncio.Event()
    async with serving(answering(204, done.wait)) as served:
        reader, writer = await served.connect()
        writer.write(request(b"GET /") * 2)
        await until(lambda: any(one.pipeline for one in served.protocols))
        for one in served.protocols:
            one.use(answering(205, done.wait))
        done.set()
        writer.write(request(b"GET /", b"Connection: close"))
        assert statuses(await reader.read(-1)) == [204, 205, 205]
        writer.close()
