"""The feed of changes over HTTP: pages as JSON, and streams of server-sent events."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from caller import API_KEY, Caller, make_server
from served_socket import MIB, SECONDS, Served, request, serving, until
from workertown_kv import Server
from workertown_kv.changes import Interest
from workertown_kv.endpoints.v1.changes import streams
from workertown_kv.errors import StorageUnavailable, StorageUnsupported
from workertown_kv.operations import Batch, Change, ChangePage, Event, ReadChanges, Result
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock
from workertown_kv.user import Scope

pytestmark = pytest.mark.anyio

FEED = "/v1/changes"


MEMORY = {"value_bytes": MIB, "batch_bytes": MIB, "memory_bytes": 16 * MIB}
"""One user may have 8 MiB."""


class Counting(MemoryStorage):
    """Counts batches, and lets others run before each."""

    batches = 0

    async def batch(self, operation: Batch) -> Sequence[Result]:
        self.batches += 1
        await asyncio.sleep(0)
        return await super().batch(operation)


def make(clock: MovedClock, **options: Any) -> Server:
    return make_server(MemoryStorage(clock=clock), **options)


@pytest.fixture
def call(clock: MovedClock) -> Caller:
    return Caller(make(clock))


async def now(call: Caller) -> str:
    page = await call.data("GET", FEED)
    assert page["changes"] == []
    cursor: str = page["cursor"]
    return cursor


async def page(call: Caller, cursor: str, **parameters: str) -> Any:
    return await call.data("GET", FEED, params={"since": cursor, **parameters})


# Pages


async def test_a_page_has_the_changes_after_its_cursor(call: Caller, clock: MovedClock) -> None:
    begin = await now(call)
    put = await call.put("a/1", "x", ttl=5, metadata={"b": 1})
    await call.put("b", 2)
    await call("DELETE", "/v1/kv/b")
    clock.move(5)
    found = await page(call, begin)
    version = put.headers["etag"].strip('"')
    assert found["changes"][0] == {
        "event": "set",
        "key": "a/1",
        "version": version,
        "expires_at": int(clock()),
        "metadata": {"b": 1},
    }
    assert [one["event"] for one in found["changes"]] == ["set", "set", "delete", "expire"]
    assert found["changes"][3] == {"event": "expire", "key": "a/1", "version": version}
    assert found["complete"] is True
    assert (await page(call, found["cursor"]))["changes"] == []


async def test_pages_follow_each_other(call: Caller) -> None:
    begin = await now(call)
    for i in range(5):
        await call.put(f"k{i}", i)
    keys, complete = [], False
    while not complete:
        found = await page(call, begin, limit="2")
        keys += [one["key"] for one in found["changes"]]
        begin, complete = found["cursor"], found["complete"]
    assert keys == [f"k{i}" for i in range(5)]


async def test_prefixes_choose_changes(call: Caller) -> None:
    begin = await now(call)
    for key in ("a/1", "b/1", "c/1", "a/2"):
        await call.put(key, 1)
    found = await call.data("GET", f"{FEED}?since={begin}&prefix=a/&prefix=c/")
    assert [one["key"] for one in found["changes"]] == ["a/1", "c/1", "a/2"]


async def test_values_come_while_they_are_current(call: Caller) -> None:
    begin = await now(call)
    await call.put("old", 1)
    await call.put("old", {"new": True})
    await call.put("large", "x" * 70_000)
    found = await page(call, begin, values="true")
    assert [one.get("value") for one in found["changes"]] == [None, {"new": True}, None]
    assert found["changes"][2]["value_bytes"] == 70_002


async def test_bytes_come_as_base64(call: Caller) -> None:
    begin = await now(call)
    account = "/client/v4/accounts/a/storage/kv/namespaces/" + "0" * 32
    await call("PUT", f"{account}/values/a", content=b"\0\1")
    found = await page(call, begin, values="true")
    assert found["changes"][0]["base64"] == "AAE="


async def test_a_page_can_begin_with_the_entries(call: Caller) -> None:
    for key in ("a/1", "a/2", "a/3", "b/1"):
        await call.put(key, key)
    query = "initial=true&values=true&limit=2&prefix=a/&prefix=c/"
    found = await call.data("GET", f"{FEED}?{query}")
    assert [(one["event"], one["key"], one["value"]) for one in found["changes"]] == [
        ("set", "a/1", "a/1"),
        ("set", "a/2", "a/2"),
    ]
    assert found["complete"] is False
    await call.put("a/4", 4)
    keys = []
    while not found["complete"]:
        found = await call.data("GET", f"{FEED}?{query}&since={found['cursor']}")
        keys += [one["key"] for one in found["changes"]]
    assert keys in (["a/3", "a/4"], ["a/3", "a/4", "a/4"])


async def test_a_request_waits_for_a_change(call: Caller) -> None:
    begin = await now(call)
    waiting = asyncio.ensure_future(page(call, begin, wait="60", prefix="a"))
    await until(lambda: len(call.server.feed) == 1)
    await call.put("b", 1)
    await call.put("a", 1)
    found = await asyncio.wait_for(waiting, SECONDS)
    assert [one["key"] for one in found["changes"]] == ["a"]
    assert len(call.server.feed) == 0
    empty = await page(call, found["cursor"], wait="0.01")
    assert (empty["changes"], empty["complete"]) == ([], True)


async def test_a_cursor_that_is_not_kept_is_410(clock: MovedClock) -> None:
    call = Caller(make(clock, changes={"seconds": 10}))
    begin = await now(call)
    await call.put("a", 1)
    clock.move(11)
    answer = await call("GET", FEED, params={"since": begin})
    assert answer.status_code == 410


@pytest.mark.parametrize(
    "query",
    [
        "since=x",
        "since=" + "A" * 60,
        "wait=61",
        "wait=-1",
        "wait=x",
        "limit=0",
        "limit=1001",
        "initial=yes",
        "values=1",
        "namespace=*&initial=true",
        "unknown=1",
        "wait=1&wait=1",
        "&".join(f"prefix={i}" for i in range(101)),
    ],
)
async def test_a_wrong_query_is_400(call: Caller, query: str) -> None:
    assert (await call("GET", f"{FEED}?{query}")).status_code == 400


async def test_a_cursor_tells_nothing_and_is_of_its_storage(
    call: Caller, clock: MovedClock
) -> None:
    first, second = await now(call), await now(call)
    assert first != second
    assert len(first) == len(second)
    other = Caller(make(clock))
    assert (await other("GET", FEED, params={"since": first})).status_code == 400
    # Another server of the same storage takes it.
    twin = Caller(make_server(call.server.runtime.storage))
    assert (await page(twin, first))["changes"] == []


# Namespaces and scopes


async def test_a_namespace_has_changes_of_its_own(call: Caller) -> None:
    made = await call.data("POST", "/admin/namespaces", json={"title": "photos"})
    begin = await now(call)
    await call.put("a", 1)
    await call("PUT", "/v1/kv/b?namespace=photos", json={"value": 1})
    assert [one["key"] for one in (await page(call, begin))["changes"]] == ["a"]
    found = await page(call, begin, namespace="photos")
    assert found["changes"][0]["key"] == "b"
    assert "namespace" not in found["changes"][0]
    found = await page(call, begin, namespace="*")
    assert [(one["namespace"], one["key"]) for one in found["changes"]] == [
        ("default", "a"),
        (made["id"], "b"),
    ]
    assert (await call("GET", f"{FEED}?namespace=unknown")).status_code == 404
    # The registry is in a namespace too.
    await call.data("POST", "/admin/namespaces", json={"title": "more"})
    assert (await page(call, found["cursor"], namespace="*"))["changes"] == []


def scoped(clock: MovedClock, *scopes: Scope) -> Caller:
    keys = [{"name": "ada", "api_key": API_KEY, "scopes": scopes}]
    return Caller(make(clock, auth={"api_key": {"api_keys": keys}}))


async def test_scopes_hold_for_changes(clock: MovedClock) -> None:
    call = scoped(
        clock,
        Scope(verbs=("read",), prefixes=("a/", "b/")),
        Scope(verbs=("write",)),
        Scope(verbs=("read",), namespaces=("f" * 32,)),
    )
    begin = await now(call)
    for key in ("a/1", "b/1", "c/1"):
        await call.put(key, 1)
    found = await page(call, begin, values="true")
    assert [one["key"] for one in found["changes"]] == ["a/1", "b/1"]
    found = await page(call, begin, prefix="a/1")
    assert [one["key"] for one in found["changes"]] == ["a/1"]
    for query in ("prefix=c/", "namespace=*"):
        assert (await call("GET", f"{FEED}?{query}")).status_code == 403
    # Reading all entries at the beginning is a listing.
    assert (await call("GET", f"{FEED}?initial=true")).status_code == 403


async def test_it_can_be_turned_off(clock: MovedClock) -> None:
    for options in ({"changes": False}, {"endpoints": {"v1": {"changes": False}}}):
        call = Caller(make(clock, **options))
        assert (await call("GET", FEED)).status_code == 404


# Streams


class Events:
    """Reads the events of a stream from a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._left = b""
        self.head = b""
        self.id = ""

    async def begin(self) -> Self:
        self.head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), SECONDS)
        return self

    async def next(self) -> tuple[str, Any]:
        """Return the next event with data; pass over comments."""
        while True:
            while b"\n\n" not in self._left:
                size = int(await asyncio.wait_for(self._reader.readline(), SECONDS), 16)
                if not size:
                    return "end", None
                self._left += await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            text, _, self._left = self._left.partition(b"\n\n")
            fields: dict[str, str] = {}
            for line in text.decode().split("\n"):
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                fields[name] = f"{fields[name]}\n{value}" if name == "data" in fields else value
            self.id = fields.get("id", self.id)
            if "data" in fields:
                return fields["event"], json.loads(fields["data"])

    async def names(self, count: int) -> list[tuple[str, str]]:
        found = [await self.next() for _ in range(count)]
        return [(event, data.get("key", "")) for event, data in found]


@asynccontextmanager
async def stream(
    served: Served, query: str = "", *fields: bytes, path: str = FEED
) -> AsyncIterator[Events]:
    reader, writer = await served.connect()
    line = b"GET %b%b" % (path.encode(), query.encode())
    writer.write(request(line, b"Accept: text/event-stream", *fields))
    yield await Events(reader, writer).begin()
    writer.close()


async def test_a_stream_goes_on(call: Caller, clock: MovedClock) -> None:
    async with serving(call.server) as served, stream(served, "?values=true&prefix=a") as events:
        assert b"200 OK" in events.head
        for field in (
            b"content-type: text/event-stream",
            b"cache-control: no-store",
            b"x-accel-buffering: no",
        ):
            assert field in events.head
        assert (await events.next())[0] == "ready"
        await call.put("b", 1)
        put = await call.put("a", {"b": [1]}, ttl=5)
        version = put.headers["etag"].strip('"')
        assert await events.next() == (
            "set",
            {
                "event": "set",
                "key": "a",
                "version": version,
                "expires_at": int(clock()) + 5,
                "value": {"b": [1]},
            },
        )
        await call("DELETE", "/v1/kv/a")
        assert await events.names(1) == [("delete", "a")]


async def test_a_value_with_line_breaks_comes_whole(call: Caller) -> None:
    async with serving(call.server) as served, stream(served, "?values=true") as events:
        await events.next()
        body = '{"value": [1,\r\n 2,\n\r 3]}'
        fields = {"Content-Type": "application/json"}
        assert (await call("PUT", "/v1/kv/a", content=body, headers=fields)).status_code == 200
        assert (await events.next())[1]["value"] == [1, 2, 3]


async def test_a_stream_resumes_after_the_last_event(call: Caller) -> None:
    async with serving(call.server) as served:
        async with stream(served) as events:
            await events.next()
            for i in range(5):
                await call.put(f"k{i}", i)
            assert await events.names(3) == [("set", f"k{i}") for i in range(3)]
        await until(lambda: len(call.server.feed) == 0)
        await call.put("k5", 5)
        last = b"Last-Event-ID: %b" % events.id.encode()
        # The query is that of the first request, as a browser repeats it.
        async with stream(served, "?initial=true&since=old", last) as again:
            assert await again.names(4) == [
                *(("set", f"k{i}") for i in range(3, 6)),
                ("ready", ""),
            ]
            await call.put("k6", 6)
            assert await again.names(1) == [("set", "k6")]
        found = await page(call, events.id)
        assert [one["key"] for one in found["changes"]] == ["k3", "k4", "k5", "k6"]


async def test_a_stream_can_begin_with_the_entries(call: Caller) -> None:
    for i in range(3):
        await call.put(f"a{i}", i)
    async with serving(call.server) as served, stream(served, "?initial=true") as events:
        assert await events.names(4) == [*(("set", f"a{i}") for i in range(3)), ("ready", "")]
        await call.put("a3", 3)
        assert await events.names(1) == [("set", "a3")]


async def test_no_change_is_missed_while_a_stream_catches_up(call: Caller) -> None:
    begin = await now(call)
    is_over = False

    async def write() -> list[str]:
        versions: list[str] = []
        while not is_over:
            put = await call.put(f"k{len(versions) % 7}", 1)
            versions.append(put.headers["etag"].strip('"'))
            await asyncio.sleep(0)
        return versions

    async with serving(call.server) as served:
        writing = asyncio.ensure_future(write())
        found: list[str] = []
        last = begin
        async with stream(served, f"?since={begin}"):
            for _ in range(10):
                async with stream(served, f"?since={last}") as events:
                    for _ in range(150):
                        event, data = await events.next()
                        if event == "set":
                            found.append(data["version"])
                    last = events.id
        is_over = True
        versions = await writing
        async with stream(served, f"?since={last}") as events:
            while (named := await events.next())[0] != "ready":
                found.append(named[1]["version"])
    assert found == versions


async def test_a_cursor_that_is_not_kept_resets_a_stream(clock: MovedClock) -> None:
    call = Caller(make(clock, changes={"seconds": 10}))
    begin = await now(call)
    await call.put("a", 1)
    clock.move(11)
    async with serving(call.server) as served, stream(served, f"?since={begin}") as events:
        assert (await events.next())[0] == "reset"
        assert events.id == ""
        assert (await events.next())[0] == "end"


async def test_a_silent_stream_shows_that_it_is_alive(call: Caller) -> None:
    async with serving(call.server) as served, stream(served, "?prefix=a") as events:
        await events.next()
        ready = events.id
        assert call.server.changes is not None
        streams = call.server.changes.streams
        await call.put("b", 1)
        await call.server.feed.synced()
        time = asyncio.get_running_loop().time()
        await streams.tick(time + 16)
        await streams.tick(time + 31)
        assert (await events.next())[0] == "bookmark"
        assert events.id not in ("", ready)
        assert (await page(call, events.id))["changes"] == []


async def test_a_stream_ends_with_its_credentials(clock: MovedClock) -> None:
    keys = [{"name": "ada", "api_key": API_KEY, "expires_at": 1_800_000_060}]
    call = Caller(make(clock, auth={"api_key": {"api_keys": keys}}))
    async with serving(call.server) as served, stream(served) as events:
        await events.next()
        clock.move(3600)
        assert call.server.changes is not None
        await call.server.changes.streams.tick(asyncio.get_running_loop().time() + 6)
        assert (await events.next())[0] == "revoked"
        assert (await events.next())[0] == "end"


async def test_too_many_streams_are_refused(clock: MovedClock) -> None:
    call = Caller(make(clock, changes={"streams": 1}))
    async with serving(call.server) as served, stream(served) as events:
        await events.next()
        async with stream(served) as refused:
            assert b" 503 " in refused.head
        said = (await call("GET", FEED, headers={"Accept": "text/event-stream"})).json()["error"]
        assert said == "Too many streams of changes at the moment; try again in 1 s"
    assert call.server.changes is not None
    streams = call.server.changes.streams
    await until(lambda: len(streams) == 0)


async def test_a_client_that_does_not_read_is_cut_off(call: Caller) -> None:
    async with serving(call.server, seconds=1) as served, stream(served, "?values=true") as events:
        await events.next()
        assert call.server.changes is not None
        streams = call.server.changes.streams
        value = "x" * 60_000
        for i in range(400):
            await call.put(f"k{i}", value)
            if not len(streams):
                break
            served.sweep(1)
        await until(lambda: not len(streams))


async def test_a_slow_reader_keeps_no_other_stream_from_catching_up(
    clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "CATCHING_UP", 1)
    monkeypatch.setattr(streams, "_INITIAL_ENTRIES", 20)
    call = Caller(make(clock))
    for i in range(400):  # more than sockets hold
        await call.put(f"k{i}", "x" * 60_000)
    async with (
        serving(call.server) as served,
        stream(served, "?values=true&initial=true"),
        stream(served, "?initial=true&prefix=none") as events,
    ):
        assert (await events.next())[0] == "ready"


async def test_older_values_take_no_more_memory_than_one_user_may_have(
    clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Caller(make(clock, limits=MEMORY))
    for i in range(400):  # more than sockets hold
        await call.put(f"k{i}", "x" * 60_000)
    async with serving(call.server) as served, AsyncExitStack() as reading_nothing:
        for _ in range(12):
            await reading_nothing.enter_async_context(stream(served, "?values=true&initial=true"))
        assert call.server.changes is not None
        streams = call.server.changes.streams
        # Each stream that is left holds the memory of 16 values.
        await until(lambda: len(streams) <= 8)


async def test_the_values_of_a_page_are_counted_while_they_are_read(clock: MovedClock) -> None:
    storage = Counting(clock=clock)
    call = Caller(make_server(storage, limits=MEMORY))
    begin = await now(call)
    for i in range(150):
        await call.put(f"k{i}", "x" * 60_000)
    found = await page(call, begin, values="true")
    assert len(found["changes"]) == 100
    assert found["complete"] is False
    storage.batches = 0
    answers = await asyncio.gather(
        *(call("GET", FEED, params={"since": begin, "values": "true"}) for _ in range(3))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 503, 503]
    # A page takes 7 batches. The two that are refused end before they have read everything.
    assert storage.batches < 3 * 7


async def test_streams_end_when_the_server_stops(call: Caller) -> None:
    async with serving(call.server) as served, stream(served) as events:
        await events.next()
        waiting = asyncio.ensure_future(page(call, events.id, wait="60"))
        await until(lambda: len(call.server.feed) == 2)
        call.server.end_streams()
        assert (await events.next())[0] == "end"
        assert (await asyncio.wait_for(waiting, SECONDS))["changes"] == []


async def test_what_begins_after_the_streams_have_ended_ends_at_once(call: Caller) -> None:
    begin = await now(call)
    async with serving(call.server) as served:
        call.server.end_streams()
        async with stream(served) as events:
            while (await events.next())[0] != "end":
                pass
        waiting = page(call, begin, wait="60")
        assert (await asyncio.wait_for(waiting, SECONDS / 2))["changes"] == []


class Failing(MemoryStorage):
    """Fails to read changes as often as it is told."""

    def __init__(self, clock: MovedClock) -> None:
        super().__init__(clock=clock)
        self.errors: list[Exception] = []

    async def changes(self, operation: ReadChanges) -> ChangePage:
        page = await super().changes(operation)
        if self.errors and page.changes:
            raise self.errors.pop()
        return page


async def test_a_stream_outlives_failures_of_the_storage(
    clock: MovedClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("workertown_kv.changes.feed._RETRY_SECONDS", 0)
    storage = Failing(clock)
    call = Caller(make_server(storage))
    async with serving(call.server) as served, stream(served) as events:
        await events.next()
        storage.errors = [StorageUnavailable("It is away"), ValueError("It has a bug")]
        await call.put("a", 1)
        assert await events.names(1) == [("set", "a")]
        assert "It has a bug" in caplog.text
        storage.errors = [StorageUnsupported("Another server has turned changes off")]
        await call.put("b", 1)
        assert (await events.next())[0] == "reset"
        assert (await events.next())[0] == "end"


async def test_a_server_inside_another_application_streams(call: Caller) -> None:
    app = Starlette(routes=[Mount("/store", call.server)])
    async with serving(app) as served, stream(served, path=f"/store{FEED}") as events:
        assert (await events.next())[0] == "ready"
        await call.put("a", 1)
        assert await events.names(1) == [("set", "a")]
    await until(lambda: len(call.server.feed) == 0)


# Tickets


async def ticket_for(call: Caller, **body: Any) -> str:
    made = await call.data("POST", f"{FEED}/tickets", json=body)
    ticket: str = made["ticket"]
    return ticket


@asynccontextmanager
async def ticket_stream(served: Served, ticket: str, query: str = "") -> AsyncIterator[Events]:
    reader, writer = await served.connect()
    line = f"GET {FEED}?ticket={ticket}{query} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream"
    writer.write(f"{line}\r\n\r\n".encode())
    yield await Events(reader, writer).begin()
    writer.close()


async def test_a_ticket_opens_one_stream_on_any_server(call: Caller, clock: MovedClock) -> None:
    ticket = await ticket_for(call, prefixes=["a/", "b/"])
    twin = make_server(call.server.runtime.storage)
    async with serving(twin) as served:
        async with ticket_stream(served, ticket, "&values=true") as events:
            assert (await events.next())[0] == "ready"
            await call.put("c", 1)
            await call.put("b/1", 1)
            assert (await events.next())[1]["key"] == "b/1"
        async with ticket_stream(served, ticket) as events:
            assert b" 401 " in events.head
        late = await ticket_for(call)
        clock.move(60)
        async with ticket_stream(served, late) as events:
            assert b" 401 " in events.head
        async with ticket_stream(served, "x" * 80) as events:
            assert b" 401 " in events.head


async def test_a_ticket_is_for_changes_alone(call: Caller) -> None:
    ticket = await ticket_for(call)
    for path in ("/v1/kv", "/admin/info", f"{FEED}/tickets"):
        refused = await call.server.request("GET", f"{path}?ticket={ticket}")
        assert refused.status_code == 401
    for query in ("&prefix=a", "&namespace=default"):
        fresh = await ticket_for(call)
        refused = await call.server.request("GET", f"{FEED}?ticket={fresh}{query}")
        assert refused.status_code == 400
    both = await call("GET", f"{FEED}?ticket={ticket}")
    assert both.status_code == 400


async def test_a_ticket_permits_no_more_than_its_credential(clock: MovedClock) -> None:
    call = scoped(clock, Scope(verbs=("read",), prefixes=("a/",)), Scope(verbs=("write",)))
    for body in ({"prefixes": ["b/"]}, {"namespace": "*"}):
        assert (await call("POST", f"{FEED}/tickets", json=body)).status_code == 403
    for wrong in ({"prefixes": "a"}, {"other": 1}, {"prefixes": ["a"] * 101}):
        assert (await call("POST", f"{FEED}/tickets", json=wrong)).status_code == 400
    ticket = await ticket_for(call)
    # The scopes have become narrower.
    keys = [
        {"name": "ada", "api_key": API_KEY, "scopes": [Scope(verbs=("read",), prefixes=("a/1",))]}
    ]
    storage = call.server.runtime.storage
    narrower = make_server(storage, auth={"api_key": {"api_keys": keys}})
    async with serving(narrower) as served, ticket_stream(served, ticket) as events:
        await events.next()
        for key in ("b/1", "a/2", "a/1"):
            await call.put(key, 1)
        assert await events.names(1) == [("set", "a/1")]
    # The key exists no longer.
    ticket = await ticket_for(call)
    gone = make_server(storage)
    async with serving(gone) as served, ticket_stream(served, ticket) as events:
        assert b" 401 " in events.head


async def test_a_stream_by_a_ticket_ends_with_the_credential(clock: MovedClock) -> None:
    keys = [{"name": "ada", "api_key": API_KEY, "expires_at": 1_800_000_090}]
    call = Caller(make(clock, auth={"api_key": {"api_keys": keys}}))
    ticket = await ticket_for(call)
    async with serving(call.server) as served, ticket_stream(served, ticket) as events:
        assert (await events.next())[0] == "ready"
        assert call.server.changes is not None
        streams = call.server.changes.streams
        now = asyncio.get_running_loop().time()
        await streams.tick(now + 6)
        await call.put("a", 1)
        assert await events.names(1) == [("set", "a")]
        clock.move(100)
        await streams.tick(now + 20)
        assert (await events.next())[0] == "revoked"


async def test_a_ticket_is_not_of_another_credential_with_the_same_name(call: Caller) -> None:
    async def made() -> Caller:
        key = (await call.data("POST", "/admin/api-keys", json={"name": "ci"}))["api_key"]
        return Caller(call.server, key)

    async with serving(call.server) as served:
        before = await made()
        ticket, unused = await ticket_for(before), await ticket_for(before)
        async with ticket_stream(served, ticket) as events:
            assert (await events.next())[0] == "ready"
            await call("DELETE", "/admin/api-keys/ci")
            await made()
            assert call.server.changes is not None
            await call.server.changes.streams.tick(asyncio.get_running_loop().time() + 6)
            assert (await events.next())[0] == "revoked"
        async with ticket_stream(served, unused) as events:
            assert b" 401 " in events.head


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"basic": {"username": "ada", "password": "one"}}, {"username": "ada", "password": "two"}),
        ({"basic": {"username": "ada", "password": "one"}}, False),
    ],
    ids=["another password", "no passwords"],
)
async def test_a_ticket_ends_with_the_password(clock: MovedClock, before: Any, after: Any) -> None:
    keys = {"api_key": {"api_key": API_KEY}}
    storage = MemoryStorage(clock=clock)
    server = make_server(storage, auth=keys | before)
    other = make_server(storage, auth={**keys, "basic": after})
    login = {"Authorization": f"Basic {b64encode(b'ada:one').decode()}"}
    for one, status in ((server, 200), (other, 401)):
        made = await server.request("POST", f"{FEED}/tickets", json={}, headers=login)
        ticket = made.json()["data"]["ticket"]
        assert (await one.request("GET", f"{FEED}?ticket={ticket}")).status_code == status


@pytest.mark.parametrize(
    "auth",
    [
        {"api_key": {"verify_credentials": lambda key: key == API_KEY}},
        {"api_key": {"api_key": API_KEY}, "authenticate_request": lambda _, user: user},
    ],
)
async def test_a_stream_by_a_ticket_lasts_an_hour_if_a_hook_checks_credentials(
    clock: MovedClock, auth: Any
) -> None:
    call = Caller(make(clock, auth=auth))
    ticket = await ticket_for(call)
    async with serving(call.server) as served, ticket_stream(served, ticket) as events:
        assert (await events.next())[0] == "ready"
        assert call.server.changes is not None
        streams = call.server.changes.streams
        time = asyncio.get_running_loop().time()
        clock.move(3599)
        await streams.tick(time + 6)
        assert len(streams) == 1
        clock.move(1)
        await streams.tick(time + 12)
        assert (await events.next())[0] == "revoked"


async def test_a_ticket_is_in_no_log(clock: MovedClock, caplog: pytest.LogCaptureFixture) -> None:
    lines: list[object] = []
    call = Caller(make(clock, logger=lambda *given: lines.append(given)))
    ticket = await ticket_for(call)
    caplog.set_level(0)
    assert (await call.server.request("GET", f"{FEED}?ticket={ticket}")).status_code == 200
    assert len(lines) == 2
    assert ticket not in repr(lines)
    assert ticket not in caplog.text.replace("HTTP Request", "")


async def test_a_deletion_of_a_prefix_shows_only_what_is_watched() -> None:
    def gone(prefix: str) -> Change:
        return Change(event=Event.DELETE_PREFIX, namespace="default", key=prefix)

    interest = Interest("default", ("a/", "b/"))
    assert interest.parts(gone("")) == [gone("a/"), gone("b/")]
    assert interest.parts(gone("a/1")) == (gone("a/1"),)
    assert not list(interest.parts(gone("c")))
