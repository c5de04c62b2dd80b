"""Test the admin and public endpoints."""

from importlib.metadata import version

import pytest

from caller import API_KEY, Caller, make_server
from workertown_kv import Storage
from workertown_kv.errors import StorageUnavailable
from workertown_kv.operations import Get
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio


async def test_info_is_the_options_without_the_secrets(storage: Storage) -> None:
    secrets = {"api_key": {"api_key": API_KEY}, "basic": {"username": "u", "password": "hidden!"}}
    call = Caller(make_server(storage, base_path="/base", auth=secrets))
    answer = await call("GET", "/base/admin/info")
    info = answer.json()["data"]
    assert info["base_path"] == "/base"
    assert info["limits"]["value_bytes"] == 26_214_400
    assert info["storage"] == type(storage).__name__
    assert info["version"] == version("workertown-kv")
    assert info["auth"]["basic"]["env"]["password"] == "KV_PASSWORD"
    assert info["auth"]["authenticate_request"] is None
    assert API_KEY not in answer.text
    assert "hidden!" not in answer.text
    await call.server.close()


async def test_migrating_an_embedded_storage_has_nothing_left_to_do(call: Caller) -> None:
    assert await call.data("POST", "/admin/migrate", json={}) == []
    assert (await call("GET", "/admin/migrate")).status_code == 405


class Broken(MemoryStorage):
    async def get(self, operation: Get) -> None:
        raise StorageUnavailable("The engine at 10.0.0.7 does not answer")


async def test_a_storage_that_does_not_answer_is_503_with_retry_after() -> None:
    answer = await Caller(make_server(Broken()))("GET", "/v1/kv/a")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


class Crashing(MemoryStorage):
    async def get(self, operation: Get) -> None:
        raise ValueError("the password is hunter2")


async def test_only_the_log_shows_an_unexpected_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = await Caller(make_server(Crashing()))("GET", "/v1/kv/a")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    request_id = answer.headers["x-request-id"]
    assert request_id in answer.json()["error"]
    [record] = caplog.records
    assert request_id in record.getMessage()
    assert record.exc_info is not None
    assert "hunter2" in str(record.exc_info[1])


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/kvs", "/admin", "/nowhere", "//v1/kv", "/V1/KV"])
async def test_other_paths_are_404_for_those_who_may_know(call: Caller, path: str) -> None:
    answer = await call("GET", f"http://localhost{path}")
    assert answer.status_code == 404
    error = f"There is nothing at {path}; values are at /v1/kv/{{key}}"
    assert answer.json()["error"] == error
    assert (await call.server.request("GET", f"http://localhost{path}")).status_code == 401


async def test_groups_of_endpoints_can_be_moved_and_turned_off(storage: Storage) -> None:
    off = {"rest": False, "binding": False}
    native = {"kv": "/values", "changes": "/news", "admin": False}
    endpoints = {"v1": native, "public": "/about", "cloudflare": off}
    call = Caller(make_server(storage, base_path="/base/", endpoints=endpoints))
    assert await call.data("PUT", "/base/values/a", json={"value": 1}) == 1
    assert await call.data("GET", "/base/about/health") == "OK"
    moved = ("/v1/kv/a", "/base/v1/kv/a", "/base/v1/changes", "/health", "/base/health")
    for path in (*moved, "/base/admin/info"):
        assert (await call("GET", path)).status_code == 404
    described = (await call("GET", "/base/about/open-api.json")).json()
    assert set(described["paths"]) == {
        "/base/values",
        "/base/values/{key}",
        "/base/news",
        "/base/news/tickets",
        "/base/v1/whoami",
        "/base/metrics",
        "/base/about/health",
        "/base/about/health/live",
        "/base/about/health/ready",
        "/base/about/open-api.json",
    }
    await call.server.close()


async def test_values_may_be_at_the_root(storage: Storage) -> None:
    off = {"rest": False, "binding": False}
    endpoints = {"v1": {"kv": "/", "admin": False}, "public": False, "cloudflare": off}
    call = Caller(make_server(storage, endpoints=endpoints))
    assert await call.data("PUT", "/v1/changes", json={"value": 2}) == 2
    assert await call.data("GET", "/?key=v1/changes") == 2
    assert (await call("DELETE", "/v1/changes")).status_code == 200
    assert await call.data("PUT", "/a/b", json={"value": 1}) == 1
    assert [one["key"] for one in (await call.data("GET", "/"))["keys"]] == ["a/b"]
    assert await call.data("GET", "/?key=a/b") == 1
    await call.server.close()
