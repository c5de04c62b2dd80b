"""Test how the console is served: its files, their header fields, and the way there."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from caller import make_server
from workertown_kv import OptionsError
from workertown_kv.endpoints.console import routes
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

STATIC = Path(routes.__file__).parent / "static"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FIRST_PAINT = 100 * 1024
LATER = {"workertown-kv.js", "api-keys.js", "feed.js", "namespaces.js", "transfer.js"}
"""The modules that load once they are needed."""


async def get(path: str, headers: dict[str, str] | None = None, **options: Any) -> Any:
    server = make_server(MemoryStorage(), **options)
    return await server.request("GET", path, headers=headers or {})


async def test_every_file_is_served_without_credentials_and_nothing_else() -> None:
    assert {file.name for file in STATIC.iterdir()} == routes.FILES.keys()
    for name, kind in routes.FILES.items():
        served = await get(f"/console/{'' if name == routes.PAGE else name}")
        assert (served.status_code, served.content) == (200, (STATIC / name).read_bytes())
        assert served.headers["content-type"] == kind.decode()
    for name in ("index.html", "nothing.js", "../routes.py", "..%2Froutes.py", "static/app.js"):
        assert (await get(f"/console/{name}")).status_code == 401, name


async def test_the_policy_permits_only_files_of_the_console() -> None:
    for path in ("/console/", "/console/app.js", "/console/paths.json"):
        headers = (await get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy


async def test_a_browser_that_has_a_file_gets_304() -> None:
    first = await get("/console/app.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await get("/console/app.js", {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert (await get("/console/app.js", {"If-None-Match": '"old"'})).status_code == 200


async def test_the_page_and_its_modules_are_small() -> None:
    first = [STATIC / name for name in routes.FILES.keys() - LATER]
    assert sum(file.stat().st_size for file in first) <= FIRST_PAINT


def test_no_module_parses_html_or_imports_from_elsewhere() -> None:
    for file in STATIC.glob("*.js"):
        text = file.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
        imported = re.findall(r'(?:^import .* from |import\()"([^"]+)"', text, re.MULTILINE)
        assert imported or file.name not in ("app.js", "session.js")
        assert {name.removeprefix("./") for name in imported} <= routes.FILES.keys(), file.name


@pytest.mark.parametrize(
    ("base_path", "home"), [("/", "/"), ("/store", "/store"), ("/a/b", "/a/b")]
)
async def test_a_browser_that_opens_the_server_gets_the_console(base_path: str, home: str) -> None:
    server = make_server(MemoryStorage(), base_path=base_path)
    told = await server.request("GET", home, headers=BROWSER)
    assert told.status_code == 307
    console = told.url.join(told.headers["location"])
    assert console.path == f"{base_path.rstrip('/')}/console/"
    assert (await server.request("GET", str(console))).text.startswith("<!doctype html>")


async def test_everything_else_at_the_start_stays_as_it_is() -> None:
    server = make_server(MemoryStorage())
    for method, headers in [("GET", {}), ("GET", {"Accept": "*/*"}), ("POST", BROWSER)]:
        assert (await server.request(method, "/", headers=headers)).status_code == 401
    off = make_server(MemoryStorage(), endpoints={"console": False})
    for path in ("/", "/console/", "/console/app.js"):
        assert (await off.request("GET", path, headers=BROWSER)).status_code == 401


async def test_a_route_of_the_operator_at_the_start_stays() -> None:
    server = make_server(MemoryStorage())

    async def own(_: object) -> PlainTextResponse:
        return PlainTextResponse("own")

    server.router.routes.append(Route("/", own))
    login = {**BROWSER, "Authorization": "Bearer test-key"}
    assert (await server.request("GET", "/", headers=login)).text == "own"


async def test_the_console_without_a_slash_leads_to_its_page() -> None:
    told = await get("/console")
    assert (told.status_code, told.headers["location"]) == (307, "console/")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"kv": "../v1/kv", "admin": "../admin"}),
        ({"base_path": "/store"}, {"kv": "../v1/kv", "admin": "../admin"}),
        ({"endpoints": {"console": "/a/b"}}, {"kv": "../../v1/kv", "admin": "../../admin"}),
        (
            {"endpoints": {"v1": {"kv": "/values", "admin": False}}},
            {"kv": "../values", "admin": None},
        ),
    ],
)
async def test_the_console_knows_the_paths_of_the_apis(options: Any, expected: Any) -> None:
    base = options.get("base_path", "")
    at = options.get("endpoints", {}).get("console", "/console")
    paths = (await get(f"{base}{at}/paths.json", **options)).json()
    assert {name: paths[name] for name in expected} == expected


async def test_the_console_gives_way_to_an_api_with_its_path() -> None:
    off = {"rest": False, "binding": False}
    endpoints = {"v1": {"kv": "/", "admin": False}, "public": False, "cloudflare": off}
    assert (await get("/console/", endpoints=endpoints)).status_code == 401
    with pytest.raises(OptionsError, match=r"endpoints.console"):
        make_server(MemoryStorage(), endpoints={"console": "/v1/kv/console"})


async def test_a_mounted_server_has_its_console_below() -> None:
    import httpx2

    app = Starlette(routes=[Mount("/kv", make_server(MemoryStorage()))])
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        told = await client.get("/kv/console")
        assert str(told.url.join(told.headers["location"])) == "http://localhost/kv/console/"
        assert (await client.get("/kv/console/")).status_code == 200
