"""Test `GET /admin/export` and `POST /admin/import`."""

import asyncio
import gzip
import json
from typing import Any

import pytest
from starlette.types import Message

from caller import API_KEY, Caller, make_server
from served_socket import SECONDS, request, serving
from workertown_kv import Storage
from workertown_kv.http.exchange import WHOLE, HalfAnAnswer
from workertown_kv.operations import Get, List, Page, Set
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock
from workertown_kv.transfer import reading, writing
from workertown_kv.transfer.compression import Compression, compressor

pytestmark = pytest.mark.anyio

NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
async def filled(call: Caller) -> Caller:
    created = await call.data("POST", "/admin/namespaces", json={"title": "photos"})
    await call.put("theme", "dark", metadata={"a": 1})
    await call.put("ttl", [1], ttl=100)
    await call.put("p?namespace=" + created["id"], 5)
    put = {"Content-Type": "image/png"}
    assert (await call("PUT", "/v1/kv/bytes", headers=put, content=b"\0\xff")).status_code == 200
    return call


def entries_in(export: bytes) -> list[dict[str, Any]]:
    *lines, end = [json.loads(line) for line in export.splitlines()]
    found = [line for line in lines if "key" in line]
    assert end["count"] == len(found)
    return found


async def imported(call: Caller, export: bytes, query: str = "", **headers: str) -> Any:
    answer = await call("POST", f"/admin/import{query}", content=export, headers=NDJSON | headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


@pytest.mark.parametrize("compression", Compression)
async def test_an_import_of_an_export_makes_the_same_store(
    filled: Caller, compression: Compression, clock: MovedClock
) -> None:
    export = await filled("GET", "/admin/export", headers={"Accept-Encoding": "identity"})
    assert export.headers["content-type"] == "application/x-ndjson"
    assert "content-encoding" not in export.headers
    assert [one["key"] for one in entries_in(export.content)] == ["bytes", "theme", "ttl", "p"]
    async with make_server(MemoryStorage(clock=clock)) as server:
        other = Caller(server)
        compress = compressor(compression)
        body = compress.compress(export.content) + compress.flush()
        done = await imported(other, body, **{"Content-Encoding": compression.value})
        assert done == {"written": 4, "skipped": 0, "expired": 0}
        again = await other("GET", "/admin/export")
        assert again.content == export.content
        spaces = [await call.data("GET", "/admin/namespaces") for call in (filled, other)]
        assert spaces[0] == spaces[1]


async def test_an_export_is_compressed_if_the_client_accepts_that(filled: Caller) -> None:
    for accepted, used in (
        ("gzip", "gzip"),
        ("br, GZIP;q=0.5", "gzip"),
        ("gzip, zstd", "zstd"),
        ("gzip;q=0", None),
        ("br", None),
    ):
        answer = await filled("GET", "/admin/export", headers={"Accept-Encoding": accepted})
        assert answer.headers.get("content-encoding") == used
        assert answer.headers["vary"] == "accept-encoding"
        if used != "zstd":  # the client decodes only what it knows
            assert len(entries_in(answer.content)) == 4
    head = await filled("HEAD", "/admin/export")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == "application/x-ndjson"


async def test_an_export_may_be_of_one_namespace(filled: Caller) -> None:
    answer = await filled("GET", "/admin/export?namespace=photos")
    assert [one["key"] for one in entries_in(answer.content)] == ["p"]
    done = await imported(filled, answer.content, "?namespace=default")
    assert done["written"] == 1
    assert (await filled.data("GET", "/v1/kv/p")) == 5
    assert (await filled("GET", "/admin/export?namespace=missing")).status_code == 404


async def test_a_key_that_exists_is_overwritten_skipped_or_a_conflict(filled: Caller) -> None:
    export = (await filled("GET", "/admin/export")).content
    await filled.put("theme", "light")
    assert (await imported(filled, export, "?on_conflict=skip"))["skipped"] == 4
    failed = await filled("POST", "/admin/import?on_conflict=fail", content=export, headers=NDJSON)
    assert failed.status_code == 409
    assert "exists already. Nothing was written" in failed.json()["error"]
    assert (await imported(filled, export, "?dry_run=true"))["written"] == 4
    assert await filled.data("GET", "/v1/kv/theme") == "light"
    assert (await imported(filled, export))["written"] == 4
    assert await filled.data("GET", "/v1/kv/theme") == "dark"


async def test_after_an_import_the_read_cache_has_no_older_entry() -> None:
    async with make_server(MemoryStorage(), cache={"ttl": 60, "follow": False}) as server:
        call = Caller(server)
        await call.put("theme", "dark")
        export = (await call("GET", "/admin/export")).content
        await call.put("theme", "light")
        assert await call.data("GET", "/v1/kv/theme") == "light"
        await imported(call, export)
        assert await call.data("GET", "/v1/kv/theme") == "dark"


async def test_a_body_that_is_not_an_export_is_refused_with_what_was_written(
    filled: Caller,
) -> None:
    export = (await filled("GET", "/admin/export")).content
    lines = export.splitlines(keepends=True)
    for body, headers, status, message in (
        (b"".join(lines[:-1]), {}, 400, "is cut off after line 7"),
        (b"".join(lines[:3]) + b"?\n", {}, 400, "Line 4 (from byte"),
        (b"", {}, 400, "is cut off after line 0"),
        (
            export,
            {"Content-Type": "application/json"},
            415,
            "Expected Content-Type: application/x-nd",
        ),
        (export, {"Content-Encoding": "br"}, 415, "Expected Content-Encoding to be gzip or zstd"),
        (export, {"Content-Encoding": "gzip"}, 400, "The gzip data is damaged"),
        (gzip.compress(export)[:-1], {"Content-Encoding": "gzip"}, 400, "The gzip data is cut"),
    ):
        answer = await filled("POST", "/admin/import", content=body, headers=NDJSON | headers)
        assert answer.status_code == status
        assert message in answer.json()["error"]
        if "cut off after line 7" in message:
            assert (
                "Before that, the server wrote or left out entries: 4, up to the key 'p'"
                in (answer.json()["error"])
            )
    for query in ("?on_conflict=ask", "?dry_run=1", "?prefix=a", "?namespace="):
        answer = await filled("POST", f"/admin/import{query}", content=export, headers=NDJSON)
        assert answer.status_code in (400, 404)


@pytest.mark.parametrize(
    ("scopes", "may_export", "may_import"),
    [
        ([{"verbs": ["admin"]}], False, False),
        ([{"verbs": ["read", "list", "write"]}], False, False),
        ([{"verbs": ["admin", "read"]}], False, False),
        ([{"verbs": ["admin", "list"]}], False, False),
        ([{"verbs": ["admin", "read", "list"]}], True, False),
        ([{"verbs": ["admin"]}, {"verbs": ["read", "list"]}], True, False),
        ([{"verbs": ["admin"]}, {"verbs": ["read", "list"], "prefixes": ["a"]}], False, False),
        ([{"verbs": ["admin"]}, {"verbs": ["write"], "namespaces": ["default"]}], False, False),
        ([{"verbs": ["admin", "write"]}], False, True),
    ],
)
async def test_an_export_needs_all_reads_and_an_import_all_writes(
    scopes: list[dict[str, Any]], may_export: bool, may_import: bool
) -> None:
    keys = [{"name": "k", "api_key": API_KEY, "scopes": scopes}]
    async with make_server(MemoryStorage(), auth={"api_key": {"api_keys": keys}}) as server:
        call = Caller(server)
        for method in ("GET", "HEAD"):
            answer = await call(method, "/admin/export")
            assert answer.status_code == (200 if may_export else 403)
        answer = await call("POST", "/admin/import", content=b"", headers=NDJSON)
        assert answer.status_code == (400 if may_import else 403)


async def test_the_entries_of_the_server_itself_cannot_be_named() -> None:
    async with make_server(MemoryStorage()) as server:
        call = Caller(server)
        assert (await call("GET", "/admin/export?namespace=workertown-kv")).status_code == 404
        header = b'{"workertown_kv_export": 1, "at": 1}\n'
        body = header + b'{"namespace": "workertown-kv", "title": "a"}\n{"key": "a", "value": 1}\n'
        answer = await call("POST", "/admin/import", content=body, headers=NDJSON)
        assert answer.status_code == 400
        assert "expected an id of 32 hex digits" in answer.json()["error"]


class _Failing(MemoryStorage):
    """Fails when a second page is listed."""

    async def list(self, operation: List) -> Page:
        if operation.cursor is not None:
            raise OSError("the disk is gone")
        return await super().list(operation)


async def test_an_export_that_fails_on_its_way_does_not_look_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "PAGE_ENTRIES", 1)
    storage = _Failing()
    for key in "abc":
        await storage.set(Set(namespace="default", key=key, value=b"1"))
    async with make_server(storage) as server:
        messages: list[Message] = []
        received: list[bool] = []

        async def receive() -> Message:
            if received:
                await asyncio.Event().wait()
            received.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/admin/export",
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {API_KEY}".encode())],
        }
        with pytest.raises(HalfAnAnswer):
            await server(scope, receive, send)
        assert messages[0]["status"] == 200
        assert b'"key": "a"' in messages[1]["body"]
        assert all(message.get("more_body", True) for message in messages)


async def test_an_import_takes_no_more_memory_than_its_longest_line_needs() -> None:
    mib = 1024 * 1024
    limits = {"value_bytes": 4 * mib, "batch_bytes": mib, "memory_bytes": 40 * mib}
    async with make_server(MemoryStorage(), limits=limits) as server:
        call = Caller(server)
        header = b'{"workertown_kv_export": 1, "at": 1}\n'
        bomb = gzip.compress(header + b'{"key": "a", "value": "' + b"x" * (60 * mib))
        assert len(bomb) < mib
        answer = await call(
            "POST", "/admin/import", content=bomb, headers=NDJSON | {"Content-Encoding": "gzip"}
        )
        # Others may not have the memory any more, or the line is too long.
        assert answer.status_code in (400, 503)
        assert server.memory._held == 0


async def test_a_body_that_stops_is_refused() -> None:
    async with make_server(MemoryStorage(), limits={"body_seconds": 1}) as server:
        statuses: list[int] = []

        async def receive() -> Message:
            if not statuses:
                statuses.append(0)
                return {"type": "http.request", "body": b'{"work', "more_body": True}
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/admin/import",
            "query_string": b"",
            "headers": [
                (b"authorization", f"Bearer {API_KEY}".encode()),
                (b"content-type", b"application/x-ndjson"),
            ],
        }
        await server(scope, receive, send)
        assert statuses == [0, 408]


async def test_a_store_with_many_pages_goes_through(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE_ENTRIES", 7)
    monkeypatch.setattr(writing, "BATCH_ENTRIES", 5)
    async with make_server(storage) as server:
        call = Caller(server)
        for number in range(50):
            await call.put(f"k{number:02}", {"n": number, "text": "x" * number})
        export = (await call("GET", "/admin/export")).content
        assert len(entries_in(export)) == 50
        assert (await imported(call, export))["written"] == 50
        assert await storage.get(Get("default", "k49")) is not None


async def test_a_host_that_cannot_stream_has_no_export() -> None:
    async with make_server(MemoryStorage({"a": 1})) as server:
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/admin/export",
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {API_KEY}".encode())],
            WHOLE: True,
        }
        await server(scope, receive, send)
        assert messages[0]["status"] == 406
        assert b"workertown-kv export" in messages[1]["body"]


async def test_a_client_that_has_sent_everything_gets_the_whole_export(call: Caller) -> None:
    for number in range(500):
        await call.put(f"{number:03}", "x" * 1000)
    async with serving(call.server) as served:
        reader, writer = await served.connect()
        writer.write(request(b"GET /admin/export", b"Connection: close"))
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(-1), SECONDS)
        writer.close()
    assert answer.endswith(b"0\r\n\r\n")
    assert answer.count(b'"key":') == 500
