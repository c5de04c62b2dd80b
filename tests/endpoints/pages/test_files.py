"""Test how the pages are served: their files, their header fields, and the way there."""

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from caller import make_server
from workertown_kv import OptionsError
from workertown_kv.endpoints.pages import api_pages, console, serving
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

STATIC = Path(serving.__file__).parent / "static"
PAGES = {"/console": console.FILES, "/docs": api_pages.FILES}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FIRST_PAINT = 100 * 1024
LATER = {
    *("workertown-kv.js", "api-keys.js", "feed.js", "namespaces.js", "transfer.js"),
    *("export-count.js", "metrics.js", "overview.js", "plot.js"),
}
"""The modules that load once they are needed."""


async def get(path: str, headers: dict[str, str] | None = None, **options: Any) -> Any:
    server = make_server(MemoryStorage(), **options)
    return await server.request("GET", path, headers=headers or {})


async def test_every_file_is_served_without_credentials_and_nothing_else() -> None:
    server = make_server(MemoryStorage())
    listed = {place for files in PAGES.values() for place in files.values()}
    assert {str(file.relative_to(STATIC)) for file in STATIC.glob("*/*")} == listed
    for path, files in PAGES.items():
        for name, place in files.items():
            served = await server.request("GET", f"{path}/{'' if name == serving.PAGE else name}")
            assert (served.status_code, served.content) == (200, (STATIC / place).read_bytes())
            assert served.headers["content-type"].encode() == serving.TYPES[Path(name).suffix]
        for name in ("index.html", "no.js", "../serving.py", "..%2Fserving.py", "shared/dom.js"):
            assert (await server.request("GET", f"{path}/{name}")).status_code == 401, name


async def test_the_policy_permits_only_files_of_the_server() -> None:
    for path in ("/console/", "/console/app.js", "/console/paths.json", "/docs/", "/docs/app.js"):
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


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_and_its_modules_are_small(page: str) -> None:
    first = [STATIC / place for name, place in PAGES[page].items() if name not in LATER]
    assert sum(file.stat().st_size for file in first) <= FIRST_PAINT


@pytest.mark.parametrize("page", PAGES)
def test_no_module_parses_html_or_imports_from_elsewhere(page: str) -> None:
    files = PAGES[page]
    for name, place in files.items():
        text = (STATIC / place).read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
        imported = re.findall(r'(?:^import .* from |import\()"([^"]+)"', text, re.MULTILINE)
        assert imported or name not in ("app.js", "session.js")
        assert {one.removeprefix("./") for one in imported} <= files.keys(), name


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
    off = make_server(MemoryStorage(), endpoints={"console": False, "docs": False})
    for path in ("/", "/console/", "/console/app.js", "/docs", "/docs/", "/docs/app.js"):
        assert (await off.request("GET", path, headers=BROWSER)).status_code == 401


async def test_routes_of_the_operator_at_the_start_and_at_docs_stay() -> None:
    server = make_server(MemoryStorage())

    async def own(_: object) -> PlainTextResponse:
        return PlainTextResponse("own")

    server.router.routes += [Route("/", own), Route("/docs", own)]
    login = {**BROWSER, "Authorization": "Bearer test-key"}
    assert (await server.request("GET", "/", headers=login)).text == "own"
    assert (await server.request("GET", "/docs", headers=login)).text == "own"
    assert (await server.request("GET", "/docs/", headers=login)).text.startswith("<!doctype")


@pytest.mark.parametrize("name", ["console", "docs"])
async def test_a_page_without_a_slash_leads_to_itself(name: str) -> None:
    told = await get(f"/{name}")
    assert (told.status_code, told.headers["location"]) == (307, f"{name}/")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"kv": "../v1/kv", "admin": "../admin", "metrics": "../metrics"}),
        ({"base_path": "/store"}, {"kv": "../v1/kv", "admin": "../admin", "docs": "../docs"}),
        (
            {"endpoints": {"console": "/a/b", "public": False, "metrics": False}},
            {"kv": "../../v1/kv", "admin": "../../admin", "docs": None, "metrics": None},
        ),
        (
            {"endpoints": {"v1": {"kv": "/values", "admin": False}, "docs": False}},
            {"kv": "../values", "admin": None, "docs": None},
        ),
    ],
)
async def test_the_console_knows_the_paths_of_the_apis(options: Any, expected: Any) -> None:
    base = options.get("base_path", "")
    at = options.get("endpoints", {}).get("console", "/console")
    paths = (await get(f"{base}{at}/paths.json", **options)).json()
    assert {name: paths[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("options", "page", "expected"),
    [
        ({}, "/docs", ["../open-api.json", "..", "../v1/whoami", "../console"]),
        (
            {"base_path": "/store", "endpoints": {"public": "/about", "console": False}},
            "/store/docs",
            ["../about/open-api.json", "../..", "../v1/whoami", None],
        ),
        (
            {"endpoints": {"docs": "/a/b", "v1": {"whoami": False}}},
            "/a/b",
            ["../../open-api.json", "../..", None, None],
        ),
    ],
)
async def test_the_api_pages_know_their_document(options: Any, page: str, expected: Any) -> None:
    paths = (await get(f"{page}/paths.json", **options)).json()
    assert [paths[name] for name in ("document", "root", "whoami", "console")] == expected


async def test_a_page_gives_way_to_an_api_with_its_path() -> None:
    off = {"rest": False, "binding": False}
    endpoints = {"v1": {"kv": "/", "admin": False}, "public": False, "cloudflare": off}
    assert (await get("/console/", endpoints=endpoints)).status_code == 401
    assert (await get("/docs/", endpoints={"v1": {"whoami": "/docs"}})).status_code == 401
    assert (await get("/docs/", endpoints={"public": False})).status_code == 401
    moved = await get("/docs/app.js", endpoints={"console": "/docs"})
    assert moved.content == (STATIC / "console" / "app.js").read_bytes()
    for name in ("console", "docs"):
        with pytest.raises(OptionsError, match=rf"endpoints.{name}"):
            make_server(MemoryStorage(), endpoints={name: "/v1/kv/page"})
    with pytest.raises(OptionsError, match="cover each other"):
        make_server(MemoryStorage(), endpoints={"docs": "/console"})


async def test_a_mounted_server_has_its_pages_below() -> None:
    import httpx2

    app = Starlette(routes=[Mount("/kv", make_server(MemoryStorage()))])
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for name in ("console", "docs"):
            told = await client.get(f"/kv/{name}")
            assert str(told.url.join(told.headers["location"])) == f"http://localhost/kv/{name}/"
            assert (await client.get(f"/kv/{name}/")).status_code == 200
