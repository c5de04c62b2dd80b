"""Test the example of a Worker in the interpreter of a Worker."""

import importlib
import importlib.metadata
import json
import sys
import types
from collections.abc import Awaitable, Callable
from typing import Any

import js  # type: ignore[import-not-found]  # only Pyodide has it
import pytest
from importing import IMPORTED  # type: ignore[import-not-found]  # beside this
from miniflare import D1, KV, RELAYED_D1  # type: ignore[import-not-found]  # `host.mjs` gives them
from pyodide.ffi import to_js  # type: ignore[import-not-found]  # only Pyodide has it

import workertown_kv
from workertown_kv.errors import OptionsError
from workertown_kv.operations import Delete, Get, List, Set
from workertown_kv.runtime import WorkerEnvironment
from workertown_kv.testing.strategies import ODD_KEYS

ABSENT = {
    *("apsw", "httptools", "uvicorn", "uvloop", "click", "asyncpg", "asyncmy", "redis", "joserfc"),
    *("sqlite3", "multiprocessing"),
}
Call = Callable[..., Awaitable[Any]]


def in_a_worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the example, with the modules of Cloudflare's SDK that only a Worker has."""
    helper: Any = types.ModuleType("_pyodide_entrypoint_helper")
    helper.patchWaitUntil = lambda _: None
    helper.cloudflareWorkersModule = types.SimpleNamespace(waitUntil=lambda _: None)
    monkeypatch.setitem(sys.modules, "_pyodide_entrypoint_helper", helper)
    flags = types.ModuleType("_cloudflare_compat_flags")
    monkeypatch.setitem(sys.modules, "_cloudflare_compat_flags", flags)
    monkeypatch.syspath_prepend("/example/src")
    monkeypatch.delitem(sys.modules, "entry", raising=False)
    return importlib.import_module("entry")


@pytest.fixture(params=["KV", "D1"])
def call(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Call:
    binding = {"KV": KV, "D1": RELAYED_D1}[request.param]
    entry = in_a_worker(monkeypatch)
    env = js_object({"KV_DB": binding, "KV_API_KEY": "test-key"})

    async def fetch(method: str, path: str, body: Any = None, **headers: str) -> Any:
        fields = {"authorization": "Bearer test-key", **headers}
        if body is not None:
            fields["content-type"] = "application/json"
        given = {"method": method, "headers": {k.replace("_", "-"): v for k, v in fields.items()}}
        if body is not None:
            given["body"] = body if isinstance(body, str) else json.dumps(body)
        sent = js.Request.new(f"https://kv.example{path}", js_object(given))
        from workers import Request  # type: ignore[import-not-found]  # Cloudflare's SDK

        return Answer(await entry.Default(js_object({}), env).fetch(Request(sent)))

    fetch.server = entry.Default  # type: ignore[attr-defined]  # for those who look inside
    fetch.lacks = request.param == "KV"  # type: ignore[attr-defined]  # the fixture set it
    return fetch


class Answer:
    def __init__(self, response: Any) -> None:
        self.status: int = response.status
        self.headers = response.headers
        self._response = response

    async def json(self) -> Any:
        return json.loads(await self._response.text())

    async def data(self) -> Any:
        assert self.status == 200, await self._response.text()
        return (await self.json())["data"]


def js_object(members: Any) -> Any:
    return to_js(members, dict_converter=js.Object.fromEntries)


def test_the_worker_imports_nothing_that_it_cannot_have() -> None:
    assert sys.platform == "emscripten"
    imported = {name.partition(".")[0] for name in IMPORTED}
    assert imported.isdisjoint(ABSENT), ABSENT & imported
    assert importlib.metadata.version("workertown-kv")


async def test_a_worker_keeps_values(call: Call) -> None:
    put = await call("PUT", "/v1/kv/a/b", {"value": {"c": [1, None]}, "metadata": {"d": 1.5}})
    assert await put.data() == {"c": [1, None]}
    got = await call("GET", "/v1/kv/a/b")
    assert await got.data() == {"c": [1, None]}
    assert got.headers.get("x-kv-metadata") == '{"d":1.5}'
    assert got.headers.get("etag") == put.headers.get("etag")
    same = await call("GET", "/v1/kv/a/b", if_none_match=put.headers.get("etag"))
    assert same.status == 304
    assert await (await call("DELETE", "/v1/kv/a/b")).data() is True
    gone = await call("GET", "/v1/kv/a/b")
    assert (gone.status, await gone.json()) == (
        404,
        {
            "status": 404,
            "success": False,
            "data": None,
            "error": "Not found",
            "request_id": gone.headers.get("x-request-id"),
        },
    )


async def test_a_worker_admits_nobody_without_credentials(call: Call) -> None:
    for authorization in ("", "Bearer wrong", "Basic dGVzdC1rZXk6"):
        refused = await call("GET", "/v1/kv/a", authorization=authorization)
        assert refused.status == 401
        assert "Bearer" in refused.headers.get("www-authenticate")


async def test_a_worker_tells_of_itself(call: Call) -> None:
    healthy = await call("GET", "/health", authorization="")
    assert await healthy.json() == {"status": 200, "success": True, "data": "OK"}
    described = await (await call("GET", "/open-api.json", authorization="")).json()
    assert "/v1/kv/{key}" in described["paths"]
    info = await (await call("GET", "/admin/info")).data()
    assert info["storage"] == ("KVBindingStorage" if call.lacks else "D1BindingStorage")  # type: ignore[attr-defined]  # the fixture set it
    assert info["version"] == importlib.metadata.version("workertown-kv")
    assert await (await call("POST", "/admin/migrate", {})).data() == []


async def test_a_worker_takes_odd_keys(call: Call) -> None:
    for key in ODD_KEYS:
        path = f"/v1/kv?key={js.encodeURIComponent(f'odd/{key}')}"
        assert await (await call("PUT", path, {"value": key})).data() == key
        assert await (await call("GET", path)).data() == key
    listed: list[str] = []
    cursor = ""
    while True:
        page = await (await call("GET", f"/v1/kv?prefix=odd/&limit=20{cursor}")).data()
        listed += [one["key"] for one in page["keys"]]
        if page["complete"]:
            break
        cursor = f"&cursor={js.encodeURIComponent(page['cursor'])}"
    assert listed == sorted((f"odd/{key}" for key in ODD_KEYS), key=str.encode)


async def test_a_worker_lets_values_expire(call: Call) -> None:
    await call("PUT", "/v1/kv/brief", {"value": 1, "ttl": 1})
    storage = call.server.server.runtime.storage  # type: ignore[attr-defined]  # the fixture set it
    entry = await storage.get(Get("default", "brief"))
    assert entry.expires_at == pytest.approx(storage.clock() + 1, abs=0.9)
    clock = storage.clock
    storage.clock = lambda: clock() + 1
    assert (await call("GET", "/v1/kv/brief")).status == 404
    storage.clock = clock


async def test_a_worker_says_what_its_storage_cannot_do(call: Call) -> None:
    operations = [{"op": "set", "key": "x", "value": 1, "if_version": None}]
    only_new = await call("PUT", "/v1/kv/new", {"value": 1}, if_none_match="*")
    atomic = await call("POST", "/v1/kv", {"operations": operations, "atomic": True})
    if call.lacks:  # type: ignore[attr-defined]  # the fixture set it
        assert (only_new.status, atomic.status) == (501, 501)
        assert "Workers KV" in (await only_new.json())["error"]
    else:
        assert (only_new.status, atomic.status) == (200, 200)
        again = await call("POST", "/v1/kv", {"operations": operations, "atomic": True})
        assert again.status == 409
        assert (await call("PUT", "/v1/kv/new", {"value": 1}, if_none_match="*")).status == 412
    for key in ("x", "new"):
        await call("DELETE", f"/v1/kv/{key}")


async def test_a_worker_changes_values_in_one_step(call: Call) -> None:
    counted = [
        await call("PATCH", "/v1/kv/n", {"increment": 1}, idempotency_key="one") for _ in range(2)
    ]
    if call.lacks:  # type: ignore[attr-defined]  # the fixture set it
        assert [one.status for one in counted] == [501, 501]
        assert "Workers KV" in (await counted[0].json())["error"]
        assert (await call("PATCH", "/v1/kv/n", {"ttl": 60})).status == 501
        return
    assert [await one.data() for one in counted] == [1, 1]
    steps = [{"op": "replace", "path": "", "value": {"a": 1.50}}]
    operations = [
        {"op": "increment", "key": "n", "by": 2},
        {"op": "patch", "key": "n", "json_patch": steps},
        {"op": "patch", "key": "n", "merge": {"b": 2}},
        {"op": "touch", "key": "n", "ttl": 600},
    ]
    results = await (await call("POST", "/v1/kv", {"operations": operations})).data()
    assert [one.get("value") for one in results] == [3, {"a": 1.5}, {"a": 1.5, "b": 2}, None]
    assert await (await call("DELETE", "/v1/kv/n?take=true")).data() == {"a": 1.5, "b": 2}
    assert (await call("DELETE", "/v1/kv/n?take=true")).status == 404


async def test_a_worker_does_batches(call: Call) -> None:
    operations = [
        {"op": "set", "key": "p", "value": [1]},
        {"op": "get", "key": "p"},
        {"op": "delete", "key": "p"},
        {"op": "get", "key": "p"},
    ]
    results = await (await call("POST", "/v1/kv", {"operations": operations})).data()
    assert results[1]["value"] == [1]
    assert results[1]["version"] == results[0]["version"]
    assert results[3]["value"] is None


async def test_a_worker_has_namespaces_where_its_storage_has(call: Call) -> None:
    made = await call("POST", "/admin/namespaces", {"title": "apart"})
    if call.lacks:  # type: ignore[attr-defined]  # the fixture set it
        assert made.status == 501
        return
    id = (await made.data())["id"]
    await call("PUT", f"/v1/kv/a?namespace={id}", {"value": "there"})
    assert (await call("GET", "/v1/kv/a")).status == 404
    assert await (await call("GET", "/v1/kv/a", x_kv_namespace="apart")).data() == "there"
    assert (await call("DELETE", f"/admin/namespaces/{id}")).status == 200
    assert (await call("GET", "/v1/kv/a", x_kv_namespace="apart")).status == 404


async def test_a_worker_takes_large_values(call: Call) -> None:
    text = "x" * 1_500_000
    put = await call("PUT", "/v1/kv/large", {"value": text}, prefer="return=minimal")
    assert put.status == 200
    assert await (await call("GET", "/v1/kv/large")).data() == text
    await call("DELETE", "/v1/kv/large")


async def test_a_worker_goes_on_when_one_of_several_requests_ends(call: Call) -> None:
    import asyncio

    answers = await asyncio.gather(*(call("GET", f"/v1/kv/none{i}") for i in range(20)))
    assert {one.status for one in answers} == {404}


async def test_a_worker_sweeps_on_schedule(call: Call) -> None:
    await call.server(js_object({}), js_object({"KV_DB": KV})).scheduled(None)  # type: ignore[attr-defined]  # the fixture set it


async def test_a_binding_may_be_the_one_of_cloudflares_sdk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_a_worker(monkeypatch)
    from workers.rpc import _BindingWrapper  # type: ignore[import-not-found]  # Cloudflare's SDK

    from workertown_kv.storage.cloudflare import storage_from_binding

    for binding in (KV, D1):
        for given in (binding, _BindingWrapper(binding)):
            storage = storage_from_binding(given, "KV_DB")
            await storage.open()
            written = Set(namespace="default", key="wrapped", value=b"[null]", metadata=b"{}")
            version = await storage.set(written)
            assert await storage.get(Get("default", "wrapped")) == written.entry(version)
            (listed,) = (await storage.list(List("default", "wrapped", 1))).keys
            assert (listed.key, listed.version) == ("wrapped", version)
            await storage.delete(Delete("default", "wrapped"))
            assert await storage.get(Get("default", "wrapped")) is None


def test_the_names_in_a_workers_environment_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_worker(monkeypatch)
    from workers.rpc import _EnvWrapper

    env = js_object({"KV_API_KEY": "test-key"})
    for given in (env, _EnvWrapper(env)):
        environment = WorkerEnvironment(given)
        assert "KV_API_KEY" in set(environment)
        assert environment.get("KV_API_KEY") == "test-key"
        assert environment.get("KV_DB") is None


def test_a_worker_without_a_binding_says_what_is_missing() -> None:
    with pytest.raises(OptionsError, match="KV_DB is not bound; expected a KV namespace"):
        workertown_kv.kv(get_env=lambda: WorkerEnvironment(js_object({})))
    with pytest.raises(OptionsError, match="neither a KV namespace nor a D1 database"):
        workertown_kv.kv(get_env=lambda: WorkerEnvironment(js_object({"KV_DB": js.Object.new()})))
