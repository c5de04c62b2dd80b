"""Header fields that arrive again: they are parsed once, and each request is still its own."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest

from caller import API_KEY, make_server
from served_socket import Served, on_both_loops, one_answer, put, request, serving, statuses
from workertown_kv.server.known_fields import MOST_BLOCKS, MOST_BYTES, KnownBlocks, KnownFields
from workertown_kv.server.plain_exchange import PlainExchange
from workertown_kv.server.plain_protocol import PlainProtocol
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio
anyio_backend = on_both_loops


GET: Final = request(b"GET /v1/kv/a")


async def test_fields_that_come_again_are_parsed_only_twice(
    store: Served, in_place: list[PlainExchange]
) -> None:
    async with connected(store) as (protocol, send):
        for number in range(5):
            key = b"k%d" % number
            sent = put(key, b'{"value":%d}' % number)
            assert statuses(await send(sent)) == [200]
            sent = request(b"GET /v1/kv/%b?namespace=default" % key)
            assert (await send(sent)).endswith(b'"data":%d}' % number)
        assert protocol._requests == 4
    assert len(in_place) == 10


async def test_credentials_are_checked_each_time() -> None:
    now = 0.0
    key = {"name": "a", "api_key": API_KEY, "expires_at": 10}
    server = make_server(MemoryStorage(clock=lambda: now), auth={"api_key": {"api_keys": [key]}})
    async with (
        server,
        serving(server) as served,
        connected(served) as (protocol, send),
    ):
        sent = request(b"GET /v1/kv/a")
        found = [statuses(await send(sent)) for _ in range(3)]
        now = 20.0
        found.append(statuses(await send(sent)))
        assert found == [[404], [404], [404], [401]]
        assert protocol._requests == 2


@pytest.mark.parametrize(
    "sent",
    [
        request(b"GET /v1/kv/a b"),
        request(b"GET /v1/kv/\xff"),
        request(b"GET /v1/kv/a#b"),
        request(b"GET  /v1/kv/a"),
        request(b"GET v1/kv/a"),
        request(b"GET http://other.example/v1/kv/a"),
        request(b"get /v1/kv/a"),
        GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
        GET + b"G",
        GET + GET,
    ],
)
def test_only_a_request_with_a_plain_first_line_is_found(sent: bytes) -> None:
    known = KnownBlocks()
    for _ in range(2):
        known.keep(GET, KnownFields([], {}, 0))
    assert known.find(GET) is not None
    assert known.find(sent) is None


IF_NONE_MATCH = [
    (b'If-None-Match: "none"', 200),
    (b'If-None-Match: "%s"', 304),
    (b'if-none-match: "%s"', 304),
    (b'If-None-Match: W/"%s"', 304),
    (b'If-None-Match:"%s"', 304),
    (b'If-None-Match: "none", "%s"', 304),
    (b'If-None-Match: "none"\r\nIf-None-Match: "%s"', 304),
    (b'If-None-Match: "%s"\r\nIf-None-Match: "none"', 304),
    (b'If-None-Match: "none"\r\nIf-None-Match: W/"%s"', 304),
    (b"If-None-Match: *", 304),
    (b"If-None-Match: none", 400),
    (b"Accept: */*", 200),
]


async def test_a_known_block_with_another_if_none_match_is_no_other_request(store: Served) -> None:
    async with connected(store) as (_, send):
        await send(put(b"a", b'{"value":1}'))
        version = re.search(rb'\r\netag: "([^"]+)"', await send(GET))
        assert version is not None
        for _ in range(3):
            for line, status in IF_NONE_MATCH:
                field = line.replace(b"%s", version[1])
                found = await send(GET.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n\r\n"))
                assert (field, statuses(found)) == (field, [status])


@pytest.mark.parametrize(
    "varying",
    [
        b'If-None-Match: "%d"',
        b"X-Request-Id: id-%d",
        b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b%d-01",
        b'x-request-id: id-%d\r\nAccept: */*\r\nif-none-match: "x"',
    ],
)
async def test_a_field_that_varies_needs_no_parsing(store: Served, varying: bytes) -> None:
    async with connected(store) as (protocol, send):
        for number in range(4):
            field = b"\r\n" + varying % number + b"\r\n\r\n"
            answer = await send(GET.replace(b"\r\n\r\n", field))
            assert statuses(answer) == [404]
            assert (b"\r\nx-request-id: id-%d\r\n" % number in answer) is (b"id-" in varying)
    assert protocol._requests == 2


REQUEST_IDS = [
    (b"X-Request-Id: one", b"one"),
    (b"x-request-id: two", b"two"),
    (b"X-Request-Id: one two", None),
    (b"X-Request-Id: one\r\nX-Request-Id: two", None),
    (b"X-Request-Id: " + b"x" * 64, b"x" * 64),
    (b"X-Request-Id: " + b"x" * 65, None),
    (b"Accept: */*", None),
]


async def test_a_known_block_with_another_request_id_is_another_request(store: Served) -> None:
    async with connected(store) as (_, send):
        for _ in range(3):
            for line, expected in REQUEST_IDS:
                answer = await send(GET.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n"))
                (found,) = re.findall(rb"\r\nx-request-id: (\S+)", answer)
                assert found == expected or (
                    expected is None and re.fullmatch(rb"[0-9a-f]{10}-\d+", found)
                )
                assert answer.endswith(b'"request_id":"%b"}' % found)


async def test_a_request_inside_the_fields_of_another_is_none(store: Served) -> None:
    async with connected(store) as (_, send):
        for _ in range(3):
            await send(GET)
    async with connected(store) as (protocol, send):
        protocol.data_received(GET.replace(b"\r\n\r\n", b"\r\nX-Inner: "))
        assert statuses(await send(GET)) == [400]  # the fields of both have Host


async def test_a_request_inside_a_body_is_none(store: Served) -> None:
    async with connected(store) as (_, send):
        for _ in range(3):
            await send(GET)
    async with connected(store) as (protocol, send):
        protocol.data_received(put(b"b", b" " * len(GET)).rstrip(b" "))
        assert statuses(await send(GET)) == [400]  # it is no JSON


async def test_a_body_of_another_length_than_known_is_parsed(store: Served) -> None:
    async with connected(store) as (protocol, send):
        for _ in range(3):
            await send(put(b"a", b'{"value":1}'))
        whole = put(b"a", b'{"value":2}')
        protocol.data_received(whole[:-3])
        assert (await send(whole[-3:])).endswith(b'"data":2}')


def test_the_oldest_fields_are_forgotten() -> None:
    known = KnownBlocks()
    fields = KnownFields([], {}, 0)
    sent = [b"GET / HTTP/1.1\r\nA: %d\r\n\r\n" % number for number in range(MOST_BLOCKS + 1)]
    too_long = b"GET / HTTP/1.1\r\nA: " + b"x" * MOST_BYTES + b"\r\n\r\n"
    for data in [too_long, *sent]:
        known.keep(data, fields)
        assert known.find(data) is None
        known.keep(data, fields)
    assert [data for data in (too_long, *sent) if known.find(data) is None] == [too_long, sent[0]]


@asynccontextmanager
async def connected(
    served: Served,
) -> AsyncIterator[tuple[PlainProtocol, Callable[[bytes], Awaitable[bytes]]]]:
    """Connect, and give the server's end, and a function that sends and returns the answer."""
    reader, writer = await served.connect()
    protocol = served.protocol(writer)
    assert isinstance(protocol, PlainProtocol)

    async def send(sent: bytes) -> bytes:
        writer.write(sent)
        return await one_answer(reader)

    try:
        yield protocol, send
    finally:
        writer.close()
