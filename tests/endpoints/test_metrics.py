"""Test the metrics: what they count, who may read them, and that their series are few."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from caller import API_KEY, Caller, make_server
from metrics_text import TOKEN, TOKEN_FIELDS, Scrape
from workertown_kv import Server, Storage
from workertown_kv.auth import hash_api_key
from workertown_kv.errors import OptionsError, StorageFailure, StorageUnavailable
from workertown_kv.meters.catalogue import METRICS
from workertown_kv.storage import Migration
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio

KV = "/v1/kv/{key}"
REQUESTS = "kv_http_requests_total"
LATENCIES = "kv_http_request_duration_seconds"


def watched(storage: Storage | None = None, **options: Any) -> Server:
    return make_server(storage or MemoryStorage(), metrics={"token": TOKEN}, **options)


async def scrape(server: Server) -> Scrape:
    return Scrape(await server.request("GET", "/metrics", headers=TOKEN_FIELDS))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with watched() as made:
        yield made


async def test_requests_are_counted_by_route_method_and_status(server: Server) -> None:
    call = Caller(server)
    for key in ("a", "a/b", "c"):
        await call.put(key, 1)
    for key in ("a", "b", "c", "d", "e"):
        await call("GET", f"/v1/kv/{key}")
    await call("HEAD", "/v1/kv/a")
    await server.request("GET", "/v1/kv/a")
    await call("GET", "/nowhere")
    found = await scrape(server)
    counted = {
        (series.labels["route"], series.labels["method"], series.labels["status"]): value
        for series, value in found.samples
        if series.name == REQUESTS
    }
    assert counted == {
        (KV, "PUT", "200"): 3,
        (KV, "GET", "200"): 2,
        (KV, "GET", "404"): 3,
        (KV, "GET", "401"): 1,
        (KV, "HEAD", "200"): 1,
        ("other", "GET", "404"): 1,
    }
    assert found.sum(f"{LATENCIES}_count", route=KV, method="GET") == 6
    assert found.sum(f"{LATENCIES}_bucket", route=KV, method="GET", le="+Inf") == 6
    assert 0 < found.sum(f"{LATENCIES}_sum", route=KV, method="GET") < 60
    assert found.sum("kv_http_received_bytes_total", method="PUT") == 3 * len('{"value":1}')
    answer = len('{"status":200,"success":true,"data":1}')
    assert found.sum("kv_http_sent_bytes_total", route=KV, method="PUT") == 3 * answer
    assert (await scrape(server)).sum(REQUESTS, route="/metrics", status="200") == 1


CREDENTIALS: dict[str, tuple[int, dict[str, Any]]] = {
    "no credentials": (401, {}),
    "the token": (200, TOKEN_FIELDS),
    "the token, in capital letters": (401, {"Authorization": f"Bearer {TOKEN.upper()}"}),
    "part of the token": (401, {"Authorization": f"Bearer {TOKEN[:-1]}"}),
    "an empty token": (401, {"Authorization": "Bearer "}),
    "the token under another scheme": (401, {"Authorization": f"Token {TOKEN}"}),
    "letters that are not ASCII": (401, {"Authorization": b"Bearer \xe4"}),
    "a key that may do everything": (200, {"Authorization": f"Bearer {API_KEY}"}),
    "a key with the verb admin": (200, {"Authorization": "Bearer the-admin"}),
    "a key without the verb admin": (403, {"Authorization": "Bearer the-reader"}),
}


@pytest.mark.parametrize("who", CREDENTIALS)
async def test_the_token_and_administrators_may_read_them(who: str) -> None:
    keys = [
        {"name": "admin", "api_key": "the-admin", "scopes": [{"verbs": ["admin"]}]},
        {"name": "reader", "api_key": "the-reader", "scopes": [{"verbs": ["read", "list"]}]},
    ]
    server = watched(auth={"api_key": {"api_key": API_KEY, "api_keys": keys}})
    status, fields = CREDENTIALS[who]
    answer = await server.request("GET", "/metrics", headers=fields)
    assert answer.status_code == status
    if status == 401:
        assert "KV_METRICS_TOKEN" in answer.json()["error"]
        assert answer.headers["www-authenticate"].startswith("Bearer")
    await server.close()


@pytest.mark.parametrize(
    "env",
    [
        {"KV_API_KEY": TOKEN},
        {"KV_API_KEYS": f'{{"name": "shop", "api_key": "{TOKEN}"}}'},
        {"KV_API_KEYS": f'{{"name": "shop", "hash": "{hash_api_key(TOKEN)}"}}'},
    ],
)
def test_the_token_is_no_api_key_too(env: Mapping[str, str]) -> None:
    name = "api_key" if "KV_API_KEY" in env else "shop"
    same = f"is the same as the API key '{name}', which permits more than reading the metrics"
    with pytest.raises(OptionsError, match=f"^metrics.token {same}"):
        make_server(MemoryStorage(), metrics={"token": TOKEN}, auth={}, get_env=lambda: env)
    both = {**env, "KV_METRICS_TOKEN": TOKEN}
    with pytest.raises(OptionsError, match=f"^The variable KV_METRICS_TOKEN {same}"):
        make_server(MemoryStorage(), auth={}, get_env=lambda: both)


@pytest.mark.parametrize("token", [{}, {"KV_METRICS_TOKEN": ""}])
async def test_without_a_token_no_token_is_right(token: dict[str, str]) -> None:
    server = make_server(MemoryStorage(), get_env=lambda: token)
    for sent in ("", "Bearer", "Bearer ", "Bearer None"):
        answer = await server.request("GET", "/metrics", headers={"Authorization": sent})
        assert answer.status_code == 401
    assert (await Caller(server)("GET", "/metrics")).status_code == 200
    await server.close()


async def test_the_token_may_come_from_the_environment() -> None:
    server = make_server(MemoryStorage(), get_env=lambda: {"KV_METRICS_TOKEN": TOKEN})
    assert (await scrape(server)).names
    await server.close()


@pytest.mark.parametrize("token", [" token", "t\u00f6ken", "to\x00ken", "x" * 5000])
def test_a_token_that_clients_cannot_send_is_refused(token: str) -> None:
    with pytest.raises(OptionsError, match=r"^metrics\.token has "):
        make_server(MemoryStorage(), metrics={"token": token})


async def test_the_token_opens_nothing_else(server: Server) -> None:
    opened = set()
    for route in server.api_routes:
        for template, methods in route.templates.items():
            if route.is_public:
                continue
            path = template.replace("{", "").replace("}", "")
            for method in methods:
                answer = await server.request(method, path, headers=TOKEN_FIELDS)
                if answer.status_code != 401:
                    opened.add((method, path, answer.status_code))
    assert opened == {("GET", "/metrics", 200), ("HEAD", "/metrics", 200)}


async def test_a_parameter_is_refused_in_a_whole_sentence(server: Server) -> None:
    refused = await server.request("GET", "/metrics?worker=0", headers=TOKEN_FIELDS)
    (error,) = refused.json()["errors"]
    assert refused.status_code == 400
    assert error["message"].startswith("Unknown parameter. Expected no parameters; ")


async def test_unknown_paths_and_methods_make_few_series(server: Server) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    async def ask(method: str, path: str) -> None:
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode()}
        await server({**scope, "query_string": b"", "headers": []}, receive, send)

    for number in range(5_000):
        await ask(f"M{number}", f"/nowhere/{number}")
        await ask(f"M{number}", f"/client/v4/{number}")
    found = await scrape(server)
    assert found.sum(REQUESTS, route="other", method="other") == 10_000
    assert sum(series.name == REQUESTS for series, _ in found.samples) <= 3
    assert "nowhere" not in found.text


async def test_they_have_no_keys_and_no_values(server: Server) -> None:
    call = Caller(server)
    await call.put("do-not-tell", "do-not-tell", metadata={"do-not-tell": 1})
    await call("GET", "/v1/kv?prefix=do-not-tell")
    await call("GET", "/do-not-tell")
    await call("POST", "/admin/namespaces", json={"title": "do-not-tell"})
    assert "do-not-tell" not in (await scrape(server)).text


async def test_every_metric_is_valid_for_prometheus(
    server: Server, require_program: Callable[[str, str], str]
) -> None:
    program = require_program("promtool", "prometheus")
    await Caller(server).put("a", 1)
    text = (await scrape(server)).text
    checked = await asyncio.to_thread(
        subprocess.run, [program, "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


async def test_they_come_in_the_form_that_the_client_accepts(server: Server) -> None:
    answer = await server.request("GET", "/metrics", headers=TOKEN_FIELDS)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = await server.request("GET", "/metrics", headers=TOKEN_FIELDS | accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = text_string_to_metric_families(answer.text)  # type: ignore[no-untyped-call]
    assert "kv_http_requests" in {one.name for one in families}
    assert (await server.request("HEAD", "/metrics", headers=TOKEN_FIELDS)).content == b""
    assert (await Caller(server)("POST", "/metrics", json={})).status_code == 405
    refused = await server.request("GET", "/metrics?name=x", headers=TOKEN_FIELDS)
    assert refused.status_code == 400


async def test_the_path_can_be_moved_or_turned_off() -> None:
    moved = watched(endpoints={"metrics": "/kv-metrics"}, base_path="/base")
    answer = await moved.request("GET", "/base/kv-metrics", headers=TOKEN_FIELDS)
    assert Scrape(answer).names
    assert (await Caller(moved)("GET", "/metrics")).status_code == 404
    off = watched(endpoints={"metrics": False})
    assert (await Caller(off)("GET", "/metrics")).status_code == 404
    assert off.publisher is None
    # A value may have the default path as its key.
    others = {"rest": False, "binding": False}
    values = watched(
        endpoints={"v1": {"kv": "/", "admin": False}, "cloudflare": others, "public": False}
    )
    assert (await Caller(values)("GET", "/metrics")).json()["error"] == "Not found"
    for server in (moved, off, values):
        await server.close()


async def test_a_route_of_the_operator_at_the_default_path_answers_instead() -> None:
    async def own(_: object) -> PlainTextResponse:
        return PlainTextResponse("mine")

    server = watched()
    server.router.routes.append(Route("/metrics", own))
    assert (await Caller(server)("GET", "/metrics")).text == "mine"
    await server.close()


class Broken(MemoryStorage):
    """A storage that cannot be opened."""

    async def open(self) -> list[Migration]:
        raise StorageUnavailable("The disk is full", StorageFailure.FULL)


async def test_they_can_be_read_while_the_storage_fails() -> None:
    server = watched(Broken())
    assert (await Caller(server)("GET", "/v1/kv/a")).status_code == 503
    found = await scrape(server)
    assert found.sum(REQUESTS, route=KV, status="503") == 1
    assert found.sum("kv_storage_failures_total", kind="full") >= 1
    assert found.sum("kv_storage_usable", operations="writes") == 0


async def test_they_show_what_the_parts_of_the_server_do() -> None:
    clock = MovedClock()
    storage = MemoryStorage({"x": "y" * 100_000}, clock=clock)
    async with watched(storage, cache={"ttl": 60}) as server:
        call = Caller(server)
        for _ in range(3):
            await call("GET", "/v1/kv/x")
        await call.put("a", 1, ttl=1)
        clock.now += 100
        async with asyncio.timeout(30):
            while not (await scrape(server)).sum("kv_storage_swept_entries_total"):  # noqa: ASYNC110  (the sweep has no event)
                await asyncio.sleep(0.05)
        await server.health.writes()
        found = await scrape(server)
        assert found.sum("kv_cache_hits_total") == 2
        assert found.sum("kv_cache_misses_total") == 1
        assert found.sum("kv_cache_entries") == 1
        assert found.sum("kv_cache_bytes") > 100_000
        assert found.sum("kv_change_streams") == 0
        assert found.sum("kv_change_streams_max") == 1000
        assert found.sum("kv_memory_held_bytes") == 0
        server.memory.take("somebody", 100_000)
        assert (await scrape(server)).sum("kv_memory_held_bytes") == 100_000
        assert found.sum("kv_memory_limit_bytes") > 100_000_000
        assert found.sum("kv_storage_usable") == 2
        assert found.sum("kv_build_info", storage="memory") == 1
        assert found.sum("process_start_time_seconds", worker="0") > 0
        await call.put("y", 1)
        assert (await scrape(server)).sum("kv_storage_entries") == 2


async def test_every_metric_is_in_the_catalogue(server: Server) -> None:
    found = await scrape(server)
    ends = ("_bucket", "_count", "_sum")
    names = {
        name.removesuffix(next((e for e in ends if name.endswith(e)), "")) for name in found.names
    }
    assert {name for name in names if not name.startswith("process_")} <= METRICS.keys()
