"""Test the requests of workerd for `env.KV`. A real workerd sends them in tests/workerd."""

from typing import Any

import pytest

from caller import Caller, make_server, on_one_storage
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio

MARK = {"CF-KV-FLPROD-405": "fake-host"}


async def ask(call: Caller, method: str, path: str, **given: Any) -> Any:
    headers = MARK | given.pop("headers", {})
    return await call(method, path, headers=headers, **given)


async def test_a_value_is_put_got_and_deleted(call: Caller, clock: MovedClock) -> None:
    fields = {"CF-KV-Metadata": '{"m":"ä"}'.encode()}
    path = "/a%2Fb?urlencoded=true"
    put = await ask(call, "PUT", f"{path}&expiration_ttl=60", content=b"\x00v", headers=fields)
    assert (put.status_code, put.content) == (200, b"")
    got = await ask(call, "GET", f"{path}&cache_ttl=30")
    assert (got.status_code, got.content) == (200, b"\x00v")
    assert got.headers["cf-expiration"] == str(int(clock.now) + 60)
    assert got.headers["cf-kv-metadata"] == '{"m":"\\u00e4"}'
    assert (await call("GET", "/v1/kv/a%2Fb")).status_code == 406
    assert (await ask(call, "DELETE", path)).status_code == 200
    assert (await ask(call, "GET", path)).status_code == 404


async def test_an_expiration_is_compared_in_whole_seconds(call: Caller, clock: MovedClock) -> None:
    second = int(clock.now)
    clock.move(0.999)
    for at, status in ((second + 60, 200), (second + 59, 400)):
        put = await ask(call, "PUT", f"/a?expiration={at}", content=b"v")
        assert put.status_code == status
    assert (await ask(call, "GET", "/a")).headers["cf-expiration"] == str(second + 60)


@pytest.mark.parametrize(
    "path",
    ["/health", "/v1%2Fkv%2Fa", "/admin%2Finfo", "/client%2Fv4", "/workerd%2Fa", "/bulk%2Fget"],
)
async def test_its_mark_leads_here_whatever_the_path(call: Caller, path: str) -> None:
    key = path[1:].replace("%2F", "/")
    assert (await ask(call, "PUT", path, content=b'"mine"')).status_code == 200
    assert (await ask(call, "GET", path)).content == b'"mine"'
    assert await call.data("GET", "/v1/kv", params={"key": key}) == "mine"
    # Requests without credentials get nothing, not even public endpoints.
    refused = await call.server.request("GET", path, headers=MARK)
    assert (refused.status_code, refused.text) == (401, "Authentication error")


async def test_without_its_mark_it_is_below_a_path_of_its_own(call: Caller) -> None:
    assert (await call("PUT", "/workerd/a%2Fb", content=b"1")).status_code == 200
    assert (await call("GET", "/workerd/a%2Fb")).content == b"1"
    for path in ("/workerd%2Fa%2Fb", "/%77orkerd/a/b"):
        assert (await call("GET", path)).content == b"1"
    # A proxy may send requests of workerd to paths below it as well.
    assert (await ask(call, "GET", "/workerd/a%2Fb")).content == b"1"
    assert await call.data("GET", "/v1/kv/a/b") == 1
    assert (await call("GET", "/workerd/")).json()["keys"] == [{"name": "a/b"}]


async def test_keys_are_listed(call: Caller, clock: MovedClock) -> None:
    for key in ("p/a", "p/b", "p/c", "q"):
        await call.put(key, 1, metadata={"k": key}, ttl=90)
    first = (await ask(call, "GET", "/?key_count_limit=2&prefix=p%2F")).json()
    expiration = int(clock.now) + 90
    assert first == {
        "keys": [
            {"name": "p/a", "expiration": expiration, "metadata": '{"k":"p/a"}'},
            {"name": "p/b", "expiration": expiration, "metadata": '{"k":"p/b"}'},
        ],
        "list_complete": False,
        "cursor": first["cursor"],
        "cacheStatus": None,
    }
    last = (await ask(call, "GET", f"/?prefix=p%2F&cursor={first['cursor']}")).json()
    assert ([one["name"] for one in last["keys"]], last["list_complete"]) == (["p/c"], True)
    assert "cursor" not in last


async def test_many_are_read_at_once(call: Caller) -> None:
    await call.put("a", {"x": 1}, metadata={"m": 1})
    asked: dict[str, Any] = {"keys": ["a", "none"]}
    answer = await ask(call, "POST", "/bulk/get", json=asked)
    assert answer.json() == {"a": '{"x":1}', "none": None}
    asked |= {"type": "json", "withMetadata": True}
    answer = await ask(call, "POST", "/bulk/get", json=asked)
    assert answer.json() == {"a": {"value": {"x": 1}, "metadata": {"m": 1}}, "none": None}


async def test_an_injected_field_chooses_the_namespace(call: Caller) -> None:
    await call("POST", "/admin/namespaces", json={"title": "one"})
    space = {"X-KV-Namespace": "one"}
    assert (await ask(call, "PUT", "/a", content=b"1", headers=space)).status_code == 200
    assert (await ask(call, "GET", "/a")).status_code == 404
    assert (await ask(call, "GET", "/a", headers=space)).content == b"1"
    assert (await ask(call, "GET", "/", headers=space)).json()["keys"] == [{"name": "a"}]
    # Not 404, which workerd would take for a missing key.
    answer = await ask(call, "GET", "/a", headers={"X-KV-Namespace": "two"})
    assert (answer.status_code, answer.text) == (400, "namespace not found")


@on_one_storage
@pytest.mark.parametrize(
    ("method", "path", "given", "status", "words"),
    [
        ("PUT", "/a?expiration_ttl=30", {}, 400, "Invalid expiration_ttl of 30."),
        ("PUT", "/a?expiration=30", {}, 400, "Invalid expiration of 30."),
        ("PUT", f"/{'a' * 513}", {}, 414, "key too long"),
        ("PUT", "/%2E", {}, 400, "illegal key name"),
        ("GET", "/a?cache_ttl=29", {}, 400, "Invalid cache_ttl of 29."),
        ("PUT", "/a", {"headers": {"CF-KV-Metadata": "{"}}, 400, "metadata must be valid JSON"),
        ("PUT", "/a", {"headers": {"CF-KV-Metadata": f'"{"x" * 1023}"'}}, 413, "Metadata length"),
        ("GET", "/?key_count_limit=0", {}, 400, "Invalid limit of 0."),
        ("GET", "/?cursor=!", {}, 400, "Invalid cursor."),
        ("POST", "/bulk/get", {"json": {"keys": []}}, 400, "Expected 1 to 100 keys"),
        ("POST", "/bulk/get", {"json": {"keys": 1}}, 400, "could not parse"),
        ("PATCH", "/a", {}, 405, "Method PATCH not allowed"),
    ],
)
async def test_errors_are_a_line_of_text(
    call: Caller, method: str, path: str, given: dict[str, Any], status: int, words: str
) -> None:
    answer = await ask(call, method, path, **given)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith(words)


async def test_scopes_hold_here_too() -> None:
    scopes = [{"verbs": ["read", "list"], "prefixes": ["a"]}]
    auth = {"api_key": {"api_keys": [{"name": "one", "api_key": "test-key", "scopes": scopes}]}}
    async with make_server(MemoryStorage({"a": 1, "b": 2}), auth=auth) as server:
        call = Caller(server)
        assert (await ask(call, "GET", "/a")).content == b"1"
        assert (await ask(call, "GET", "/")).json()["keys"] == [{"name": "a"}]
        for method, path in (("GET", "/b"), ("PUT", "/a"), ("DELETE", "/a")):
            answer = await ask(call, method, path)
            assert answer.status_code == 403
            assert answer.text.startswith("Out of scope: this needs the verb")


async def test_the_door_can_be_moved_and_closed() -> None:
    for binding, status in (("/kv-of-workers", 200), (False, 404)):
        cloudflare = {"binding": binding, "rest": False}
        server = make_server(MemoryStorage({"a": 1}), endpoints={"cloudflare": cloudflare})
        async with server:
            call = Caller(server)
            assert (await call("GET", "/kv-of-workers/a")).status_code == status
            assert (await ask(call, "GET", "/a")).status_code == status
            assert (await call("GET", "/workerd/a")).status_code == 404
            assert (await call("GET", "/client/v4/accounts")).json()["status"] == 404
