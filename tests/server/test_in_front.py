"""Test a server whose storage is another server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from caller import API_KEY, Caller, make_server
from servers.behind import ServersBehind, quiet_server
from workertown_kv.operations import MUST_NOT_EXIST, Get, Precondition, Set
from workertown_kv.storage.http import HttpStorage
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

JSON_PATCH = {"Content-Type": "application/json-patch+json"}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
BYTES = {"Accept": "application/octet-stream"}


class Chain:
    """Servers in front of one server, which keeps its entries in memory."""

    def __init__(self, servers: ServersBehind, stack: AsyncExitStack) -> None:
        self.seen: list[tuple[str, str, int]] = []
        """The requests that the server behind has answered: method, path and status."""
        self.storage = MemoryStorage()
        self.url = servers.serve(self.storage, logger=self._note)
        self._servers = servers
        self._stack = stack

    def _note(self, method: str, path: str, status: int, _: float) -> None:
        if path.startswith("/v1/kv"):
            self.seen.append((method, path.partition("?")[0], status))

    def taken(self) -> list[tuple[str, str, int]]:
        """Return the requests since the last call."""
        # The server notes a request after its answer, in the same turn of its event loop.
        self._servers.run(asyncio.sleep(0))
        taken, self.seen = self.seen, []
        return taken

    async def front(self, **options: Any) -> Caller:
        """Return a caller of another server in front, which sends nothing in the background."""
        storage = HttpStorage(self.url, token=API_KEY)
        is_following = "cache" in options
        server = quiet_server(storage, background=is_following, **options)
        await self._stack.enter_async_context(server)
        return Caller(server)


@pytest.fixture(scope="module")
def servers() -> Iterator[ServersBehind]:
    with ServersBehind() as servers:
        yield servers


@pytest.fixture
async def chain(servers: ServersBehind) -> AsyncIterator[Chain]:
    async with AsyncExitStack() as stack:
        yield Chain(servers, stack)


async def patch(call: Caller, key: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
    return await call.data("PATCH", f"/v1/kv/{key}", headers=headers, **body)


async def test_updates_are_single_requests_to_the_server_behind(chain: Chain) -> None:
    call = await chain.front()
    await call.put("a", {"n": 1, "list": [1.10]}, metadata={"by": "me"})
    chain.taken()
    assert await patch(call, "a", MERGE_PATCH, json={"n": 2}) == {"n": 2, "list": [1.10]}
    steps = [{"op": "add", "path": "/list/-", "value": 3}]
    assert await patch(call, "a", JSON_PATCH, json=steps) == {"n": 2, "list": [1.10, 3]}
    assert await patch(call, "n", json={"increment": 2, "initial": 5, "max": 8, "ttl": 60}) == 7
    assert await patch(call, "a", json={"metadata": {"by": "you"}, "ttl": 60}) is True
    assert await patch(call, "a", json={"expires_at": None}) is True
    assert len(chain.taken()) == 5
    answer = await call("GET", "/v1/kv/a")
    assert answer.headers["x-kv-metadata"] == '{"by":"you"}'
    assert "expires" not in answer.headers
    assert '"list":[1.10,3]' in answer.text or '"list":[1.1,3]' in answer.text
    for key, body, status in (
        ("n", {"increment": 2}, 409),
        ("n", {"increment": 9, "max": 8}, 409),
        ("absent", {"ttl": 60}, 404),
        ("absent", {"metadata": None}, 404),
    ):
        expected = status if key == "absent" or "max" in body else 200
        answer = await call("PATCH", f"/v1/kv/{key}", json=body)
        assert answer.status_code == expected, answer.text


async def test_takes_are_single_requests_and_leave_bytes_to_those_who_accept_them(
    chain: Chain,
) -> None:
    call = await chain.front()
    await call.put("a", "x")
    raw = {"Content-Type": "image/png"}
    await call("PUT", "/v1/kv/b", content=b"\xff", headers=raw)
    chain.taken()
    taken = await call("DELETE", "/v1/kv/a?take=true")
    assert (taken.status_code, taken.json()["data"]) == (200, "x")
    assert (await call("DELETE", "/v1/kv/a?take=true")).status_code == 404
    assert (await call("DELETE", "/v1/kv/b?take=true")).status_code == 406
    taken = await call("DELETE", "/v1/kv/b?take=true", headers=BYTES)
    assert (taken.status_code, taken.content) == (200, b"\xff")
    assert len(chain.taken()) == 4


async def test_a_take_that_is_too_large_to_be_repeated_happens_all_the_same(chain: Chain) -> None:
    call = await chain.front()
    value = b"\xff" * 20_000_000
    raw = {"Content-Type": "image/png"}
    assert (await call("PUT", "/v1/kv/a", content=value, headers=raw)).status_code == 200
    taken = await call("DELETE", "/v1/kv/a?take=true", headers=BYTES)
    assert taken.content == value
    assert (await call("GET", "/v1/kv/a")).status_code == 404


async def test_namespaces_are_those_of_the_server_behind(chain: Chain) -> None:
    call = await chain.front()
    made = await call.data("POST", "/admin/namespaces", json={"title": "ténant/../a"})
    await call("PUT", f"/v1/kv/a?namespace={made['id']}", json={"value": 1})
    assert await chain.storage.get(Get(made["id"], "a")) is not None
    other = await chain.front()
    spaced = {"X-KV-Namespace": "ténant/../a".encode()}
    answer = await other("GET", "/v1/kv/a", headers=spaced)
    assert answer.json()["data"] == 1
    assert (
        await call("POST", "/admin/namespaces", json={"title": "ténant/../a"})
    ).status_code == 409
    for title in ("..", "b"):
        path = f"/admin/namespaces/{made['id']}"
        assert (await call.data("PUT", path, json={"title": title}))["title"] == title
        assert len(await call.data("GET", "/admin/namespaces")) == 2
    assert await call.data("DELETE", f"/admin/namespaces/{made['id']}") is True
    answer = await call("PUT", f"/v1/kv/a?namespace={made['id']}", json={"value": 1})
    assert answer.status_code == 404
    assert "There is no namespace" in answer.json()["error"]


async def test_no_request_reaches_the_reserved_namespace_of_the_server_behind(chain: Chain) -> None:
    storage = HttpStorage(chain.url, token=API_KEY)
    await storage.open()
    with pytest.raises(Exception, match="lets no client reach"):
        await storage.get(Get("workertown-kv", "{changes}key"))
    await storage.close()
    call = await chain.front()
    for method, path in (
        ("GET", "/v1/kv/a?namespace=workertown-kv"),
        ("DELETE", "/v1/kv?all=true&namespace=workertown-kv"),
    ):
        assert (await call(method, path)).status_code == 404
    assert (await call("POST", "/admin/api-keys", json={"name": "a"})).status_code == 501
    unknown = await call("GET", "/v1/kv/a", headers={"Authorization": "Bearer kv_wrong_key"})
    assert unknown.status_code == 401


async def test_changes_can_be_followed_on_any_server_in_front(chain: Chain) -> None:
    one, other = await chain.front(), await chain.front()
    cursor = (await one.data("GET", "/v1/changes"))["cursor"]
    await one.put("a", 1)
    await chain.storage.set(Set(namespace="default", key="b", value=b"2"))
    page = await other.data("GET", f"/v1/changes?since={cursor}&values=true&wait=30")
    seen = [(change["event"], change["key"], change["value"]) for change in page["changes"]]
    assert seen == [("set", "a", 1), ("set", "b", 2)]
    assert (await one("GET", "/v1/changes?since=x")).status_code == 400
    waiting = asyncio.ensure_future(one.data("GET", f"/v1/changes?since={page['cursor']}&wait=30"))
    await asyncio.sleep(0)
    await other.put("c", 3)
    page = await asyncio.wait_for(waiting, 30)
    assert [change["key"] for change in page["changes"]] == ["c"]


async def test_a_ticket_is_used_once_on_any_server_in_front(chain: Chain) -> None:
    one, other = await chain.front(), await chain.front()
    made = await one.data("POST", "/v1/changes/tickets", json={"prefixes": ["flags/"]})
    url = f"/v1/changes?ticket={made['ticket']}"
    uses = [await front.server.request("GET", url) for front in (other, one, other)]
    assert [use.status_code for use in uses] == [200, 401, 401]


async def test_a_cache_that_follows_is_an_edge_replica(chain: Chain) -> None:
    call = await chain.front(cache={"follow": True, "ttl": 3600})
    await call.put("a", 1)
    async with asyncio.timeout(60):  # the cache has no event for either wait
        while True:
            chain.taken()
            for _ in range(3):
                assert (await call.data("GET", "/v1/kv/a")) == 1
            if not [one for one in chain.taken() if one[0] == "POST"]:
                break
            await asyncio.sleep(0.01)
        await chain.storage.set(Set(namespace="default", key="a", value=b"2"))
        while await call.data("GET", "/v1/kv/a") != 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_repeated_request_gets_its_first_answer_on_any_server_in_front(
    chain: Chain,
) -> None:
    one, other = await chain.front(), await chain.front()
    headers = {"Idempotency-Key": "k"}
    body = {"increment": 1, "ttl": 60}
    answers = [await call("PATCH", "/v1/kv/n", json=body, headers=headers) for call in (one, other)]
    assert [(one.json()["data"], one.headers["etag"]) for one in answers] == [
        (1, answers[0].headers["etag"])
    ] * 2
    answer = await other("PATCH", "/v1/kv/n", json={"increment": 2}, headers=headers)
    assert answer.status_code == 422
    batch = {
        "operations": [{"op": "increment", "key": "n", "by": 1}, {"op": "take", "key": "n"}],
        "atomic": True,
    }
    taken = [
        await call.data("POST", "/v1/kv", json=batch, headers={"Idempotency-Key": "b"})
        for call in (one, other)
    ]
    assert taken[0] == taken[1]
    assert taken[0][1]["value"] == 2


async def test_a_server_may_be_in_front_of_a_server_in_front(
    chain: Chain, servers: ServersBehind
) -> None:
    url = servers.serve(HttpStorage(chain.url, token=API_KEY))
    server = make_server(HttpStorage(url, token=API_KEY))
    async with server:
        call = Caller(server)
        headers = {"Idempotency-Key": "k"}
        for _ in range(2):
            answer = await call("PATCH", "/v1/kv/n", json={"increment": 1}, headers=headers)
            assert answer.json()["data"] == 1
        space = (await call.data("POST", "/admin/namespaces", json={"title": "a"}))["id"]
        assert space in [one["id"] for one in await call.data("GET", "/admin/namespaces")]


async def test_a_refused_token_is_no_refusal_of_the_client(
    chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    storage = HttpStorage(chain.url, token="s3cret-token")
    call = Caller(make_server(storage))
    answer = await call("GET", "/v1/kv/a")
    assert answer.status_code == 500
    async with asyncio.timeout(60):
        while "refused" not in (answer := await call("GET", "/health/ready")).json()["error"]:
            assert answer.status_code == 503
            await asyncio.sleep(0.01)
    assert "refuses the token; expected one of its API keys" in caplog.text
    assert "s3cret" not in caplog.text + answer.text
    await call.server.close()


@pytest.mark.parametrize("size", [10, 70_000])
async def test_values_of_any_size_keep_their_bytes_and_guards(chain: Chain, size: int) -> None:
    storage = HttpStorage(chain.url, token=API_KEY)
    await storage.open()
    for value, is_json in (
        (b'"' + b"x" * size + b'"', True),
        (b" [1]" + b" " * size, True),
        (b"1" * size, False),
        (b"\xff" * size, False),
    ):
        given = Set(
            namespace="default",
            key=f"a/../{size}",
            value=value,
            is_json=is_json,
            metadata='{"é":"\\u00e9\x7f"}'.encode(),
            expires_at=4e9 + 0.25,
        )
        version = await storage.set(given)
        assert await storage.get(Get("default", given.key)) == given.entry(version)
        for guard, holds in (
            (MUST_NOT_EXIST, False),
            (Precondition(("other",)), False),
            (Precondition(("other", version)), True),
        ):
            again = msgspec.structs.replace(given, precondition=guard)
            if holds:
                await storage.set(again)
            else:
                with pytest.raises(Exception, match="Precondition failed"):
                    await storage.set(again)
    await storage.close()


def test_a_server_in_front_works_on_one_event_loop_after_the_other(
    servers: ServersBehind,
) -> None:
    url = servers.serve(MemoryStorage())
    server = make_server(HttpStorage(url, token=API_KEY))

    async def use(number: int) -> None:
        call = Caller(server)
        await call.put("a", number)
        assert await call.data("GET", "/v1/kv/a") == number
        assert await call.data("PATCH", "/v1/kv/a", json={"increment": 1}) == number + 1

    for number in range(3):
        asyncio.run(use(number))
