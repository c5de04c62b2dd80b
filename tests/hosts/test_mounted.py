"""Test the server inside another application, as in the examples."""

import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import quote, unquote

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from caller import API_KEY, make_server
from workertown_kv import combine, kv
from workertown_kv.storage.memory import MemoryStorage
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


# Mounts that shorten the path, and leave the raw path as it was


def shortening(app: ASGIApp) -> ASGIApp:
    """Mount an application by hand, at /store."""

    async def mount(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix("/store") or "/"
        await app({**scope, "path": path}, receive, send)

    return mount


def shortening_with_root(app: ASGIApp) -> ASGIApp:
    """Mount an application by hand, and say where it is."""

    async def mount(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix("/store") or "/"
        await app({**scope, "path": path, "root_path": "/store"}, receive, send)

    return mount


def litestar(app: ASGIApp) -> ASGIApp:
    """Mount an application with the path that Litestar 2.25 passes to a handler with `is_mount`."""

    async def mount(scope: Scope, receive: Receive, send: Send) -> None:
        tidied = "/" + re.sub("/+", "/", scope["path"]).strip("/")
        below = tidied.removeprefix("/store") or "/"
        path = below if below.endswith("/") else f"{below}/"
        await app({**scope, "path": path}, receive, send)

    return mount


def litestar_as_on_the_page(app: ASGIApp) -> ASGIApp:
    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        sent = {"path": unquote(scope["raw_path"]), "root_path": "/store"}
        await app({**scope, **sent}, receive, send)

    return litestar(handler)


MOUNTS = [shortening, shortening_with_root, litestar, litestar_as_on_the_page]
REST = "/client/v4/accounts/a/storage/kv/namespaces/" + "0" * 32 + "/values"


@pytest.mark.anyio
@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_mount_that_shortens_the_path_changes_no_key(
    mount: Callable[[ASGIApp], ASGIApp],
) -> None:
    server = make_server(MemoryStorage(), limits={"key_bytes": 512})
    credentials = {"Authorization": f"Bearer {API_KEY}"}
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=mount(server)),
        base_url="http://localhost",
        headers=credentials,
    ) as client:
        assert (await client.get("/store/health")).json()["data"] == "OK"
        kept = set()
        for key in [*ODD_KEYS, "a", "a/", "/a", "a//b", "a/b", "%41", "store/v1/kv/a"]:
            if {".", ".."} & {*key.split("/")} or len(key.encode()) > 512:
                continue
            for below in ("/v1/kv", REST):
                url = f"/store{below}/{quote(key, safe='' if below == REST else '/')}"
                put = await client.put(url, json={"value": key})
                if mount is litestar and re.search("^/|//|/$|%2F$", key) and key != "a/":
                    assert put.status_code in (400, 404), key
                    continue
                assert put.status_code == 200, (key, put.text)
                assert (await client.get(url)).json() is not None
                kept.add(key)
        listed = await client.get("/store/v1/kv")
        assert {one["key"] for one in listed.json()["data"]["keys"]} == kept


@pytest.mark.anyio
async def test_a_path_that_was_put_in_the_place_of_another_counts() -> None:
    server = make_server(MemoryStorage())

    async def moved(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].replace("/settings/", "/v1/kv/of everyone/")
        await server({**scope, "path": path}, receive, send)

    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=moved),
        base_url="http://localhost",
        headers={"Authorization": f"Bearer {API_KEY}"},
    ) as client:
        for key in ("a", "%20", "a%2Fb"):
            assert (await client.put(f"/settings/{key}", json={"value": 1})).status_code == 200
        listed = await client.get("/v1/kv")
        keys = [one["key"] for one in listed.json()["data"]["keys"]]
        assert keys == ["of everyone/ ", "of everyone/a", "of everyone/a/b"]
