"""The server inside of another application, as the examples have it."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import quote

import pytest
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from workertown_kv import combine, kv
from workertown_kv.testing.strategies import ODD_KEYS

EXAMPLES = Path(__file__).parents[2] / "examples" / "mounted"
KEY = {"Authorization": "Bearer s3cret"}


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["starlette_app", "fastapi_app"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("KV_DB", str(tmp_path / "kv.sqlite"))
    monkeypatch.setenv("KV_API_KEY", "s3cret")
    with TestClient(example(name).app) as client:
        yield client


def test_values_are_below_the_path_of_the_mount(client: TestClient) -> None:
    put = client.put("/store/v1/kv/a%2Fb", headers=KEY, json={"value": [1]})
    assert put.status_code == 200
    assert client.get("/store/v1/kv/a/b", headers=KEY).json()["data"] == [1]
    assert client.get("/store/v1/kv", headers=KEY).json()["data"]["keys"][0]["key"] == "a/b"
    assert client.get("/v1/kv/a/b", headers=KEY).status_code == 404


def test_the_server_guards_itself_below_its_path(client: TestClient) -> None:
    refused = client.get("/store/v1/kv/a")
    assert (refused.status_code, refused.json()["success"]) == (401, False)
    assert client.get("/store/nowhere").status_code == 401
    assert client.get("/store/health").json()["data"] == "OK"


def test_odd_keys_come_through_a_mount(client: TestClient) -> None:
    for key in ODD_KEYS:
        put = client.put("/store/v1/kv", params={"key": key}, headers=KEY, json={"value": key})
        assert put.status_code == 200
        # The route of a mount ends at a line feed, and clients resolve dots.
        if "\n" not in key and not {".", ".."} & {*key.split("/")}:
            path = f"/store/v1/kv/{quote(key, safe='')}"
            assert client.get(path, headers=KEY).json()["data"] == key


def test_the_description_says_where_the_server_is(client: TestClient) -> None:
    document = client.get("/store/open-api.json").json()
    validate(document)
    assert document["servers"] == [{"url": "/store"}]
    assert "/v1/kv/{key}" in document["paths"]
    server = document["servers"][0]["url"]
    assert client.get(f"{server}/v1/kv", headers=KEY).status_code == 200


def test_a_path_in_the_description_is_a_url() -> None:
    app = Starlette(routes=[Mount("/a b", app=kv(runtime="testing", base_path="/x"))])
    client = TestClient(app)
    document = client.get("/a%20b/x/open-api.json").json()
    assert document["servers"] == [{"url": "/a%20b"}]
    assert "/x/v1/kv" in document["paths"]


def test_the_rest_of_the_application_goes_on(client: TestClient, name: str) -> None:
    if name == "starlette_app":
        assert client.get("/").text == "Welcome to the shop"
        return
    assert client.get("/greeting/Ada").status_code == 404
    client.put("/store/v1/kv/greeting", headers=KEY, json={"value": "Good day, {name}"})
    assert client.get("/greeting/Ada").json() == {"greeting": "Good day, Ada"}
    assert list(client.get("/openapi.json").json()["paths"]) == ["/greeting/{name}"]


def test_several_servers_can_be_mounted_as_one() -> None:
    both = combine(kv(runtime="testing", base_path="/a"), kv(runtime="testing", base_path="/b"))
    app = Starlette(routes=[Mount("/stores", app=both)])
    client = TestClient(app)
    for name in "ab":
        document = client.get(f"/stores/{name}/open-api.json").json()
        assert document["servers"] == [{"url": "/stores"}]
        assert f"/{name}/v1/kv" in document["paths"]
