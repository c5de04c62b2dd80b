"""Test requests that a page of another site makes a browser send with a stored login."""

import html
import json
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from caller import make_server
from workertown_kv import Server
from workertown_kv.operations import List
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import ServedStore

pytestmark = pytest.mark.anyio

LOGIN = {"Authorization": f"Basic {b64encode(b'ada:engine').decode()}"}
APP, OTHER = "https://app.example.com", "https://other.example.com"
NAMED = {
    "key": "x",
    "account_id": "a",
    "namespace_id": "0" * 32,
    "key_name": "x",
    "namespace": "x",
    "name": "x",
}
SPACES = "/client/v4/accounts/{account_id}/storage/kv/namespaces"

POSTED: Mapping[str, object] = {
    "/v1/kv": {"operations": [{"op": "delete", "key": "x"}]},
    "/admin/migrate": {},
    "/v1/changes/tickets": {},
    "/admin/namespaces": {"title": "made"},
    "/admin/api-keys": {"name": "made"},
    "/admin/import": None,
    SPACES: {"title": "made too"},
    f"{SPACES}/{{namespace_id}}/bulk/get": {"keys": ["x"]},
    f"{SPACES}/{{namespace_id}}/bulk/delete": ["x"],
    "/workerd/bulk/get": {"keys": ["x"]},
}
"""A valid body for each path that accepts `POST`; an import accepts `EXPORT` instead of JSON."""

_BEGIN = b'{"workertown_kv_export": 1, "at": 1795905459}\n'
_END = {"end": True, "count": 0, "sha256": sha256(_BEGIN).hexdigest()}
EXPORT = _BEGIN + json.dumps(_END).encode() + b"\n"
"""An export without entries."""

FORM_TYPES = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "text/plain",
    "Text/Plain; charset=utf-8",
    " text/plain ; application/json",
    "",
    None,
]
"""The content types that a page may send without a preflight; `None` is a body without a type."""


def server(storage: MemoryStorage, **options: Any) -> Server:
    return make_server(
        storage, auth={"basic": {"username": "ada", "password": "engine"}}, **options
    )


async def check_unchanged(storage: MemoryStorage) -> None:
    assert [info.key for info in (await storage.list(List("default", "", 10))).keys] == ["x"]


def test_every_path_that_takes_a_post_is_tried_here() -> None:
    routes = server(MemoryStorage()).api_routes
    assert all(route.templates for route in routes)
    paths = {
        path for route in routes for path, methods in route.templates.items() if "POST" in methods
    }
    assert paths == POSTED.keys()


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("content", [True, False])
async def test_a_post_needs_a_type_that_no_form_has(path: str, content: bool) -> None:
    storage = MemoryStorage({"x": 1})
    kv = server(storage, cors={"origin": "*"})
    url, body = path.format(**NAMED), json.dumps(POSTED[path]) if content else ""
    for sent in FORM_TYPES:
        headers = LOGIN if sent is None else {**LOGIN, "Content-Type": sent}
        answer = await kv.request("POST", url, headers=headers, content=body)
        assert answer.status_code == 415, sent
        assert "Expected Content-Type: application/json" in answer.text
    await check_unchanged(storage)


@pytest.mark.parametrize("path", POSTED)
async def test_a_post_in_its_own_type_is_done(path: str) -> None:
    kv = server(MemoryStorage({"x": 1}))
    is_import = path == "/admin/import"
    content = EXPORT if is_import else json.dumps(POSTED[path])
    kind = {"Content-Type": "application/x-ndjson" if is_import else "application/json"}
    for headers in (LOGIN, {**LOGIN, "Sec-Fetch-Site": "same-origin"}):
        url = path.format(**NAMED)
        answer = await kv.request("POST", url, headers={**headers, **kind}, content=content)
        # The second time, the title or the name is taken.
        assert answer.status_code in (200, 400, 409), answer.text
        assert answer.status_code == 200 or "title" in answer.text or "already" in answer.text


async def test_what_changes_something_is_not_for_pages_that_cors_does_not_permit() -> None:
    storage = MemoryStorage({"x": 1})
    tried = 0
    for options in ({}, {"cors": {"origin": [APP]}}):
        kv = server(storage, **options)
        for route in kv.api_routes:
            for path, methods in route.templates.items():
                for method in methods - {"GET", "HEAD"}:
                    for site in ("cross-site", "same-site"):
                        for origin in ({"Origin": OTHER}, {"Origin": "null"}, {}):
                            answer = await kv.request(
                                method,
                                path.format(**NAMED),
                                headers={**LOGIN, "Sec-Fetch-Site": site, **origin},
                                json=POSTED.get(path, {}),
                            )
                            assert answer.status_code == 403, (method, path)
                            assert "cors.origin" in answer.text
                            tried += 1
    assert tried >= 12 * len(POSTED)
    await check_unchanged(storage)


@pytest.mark.parametrize("origin", ["*", [APP], lambda origin: origin == APP])
async def test_a_page_that_cors_permits_may_change_something(origin: Any) -> None:
    kv = server(MemoryStorage(), cors={"origin": origin})
    for site in ("cross-site", "same-site"):
        headers = {**LOGIN, "Sec-Fetch-Site": site, "Origin": APP}
        put = await kv.request("PUT", "/v1/kv/a", headers=headers, json={"value": 1})
        assert put.status_code == 200
        post = await kv.request("POST", "/v1/kv", headers=headers, json={"operations": []})
        assert post.status_code == 200


async def test_reading_is_left_to_cors() -> None:
    kv = server(MemoryStorage({"x": 1}))
    headers = {**LOGIN, "Sec-Fetch-Site": "cross-site", "Origin": OTHER}
    answer = await kv.request("GET", "/v1/kv/x", headers=headers)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


async def test_requests_without_credentials_learn_nothing_more() -> None:
    kv = server(MemoryStorage())
    for headers in ({"Content-Type": "text/plain"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await kv.request("POST", "/v1/kv", headers=headers)).status_code == 401


async def test_a_path_without_a_post_says_so_whatever_the_type() -> None:
    kv = server(MemoryStorage())
    for path in ("/v1/kv/a", "/workerd/a", "/admin/info", SPACES.format(**NAMED) + "/" + "0" * 32):
        answer = await kv.request("POST", path, headers=LOGIN)
        assert answer.status_code == 405
        assert "POST" not in answer.headers["allow"]


class Page:
    """A page of another site, which sends a form as soon as it opens."""

    def __init__(self, action: str, field: str) -> None:
        name, value = field.split("=")
        body = (
            f'<!doctype html><form method="post" enctype="text/plain" action="{action}">'
            f'<input name="{html.escape(name)}" value="{html.escape(value)}"></form>'
            "<script>document.forms[0].submit()</script>"
        ).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.mark.deep
def test_a_form_in_a_real_browser_deletes_nothing(
    tmp_path: Path, require_program: Callable[[str, str], str]
) -> None:
    chromium = require_program("chromium", "chromium")
    login = {"KV_USERNAME": "ada", "KV_PASSWORD": "engine"}
    with ServedStore(env=login) as store, store.client() as client:
        assert client.put("/v1/kv/x", json={"value": 1}).status_code == 200
        path = SPACES.format(**NAMED) + f"/{NAMED['namespace_id']}/bulk/delete"
        # The browser gets the login from this URL. The body is ["x","="].
        action = f"http://ada:engine@localhost:{urlsplit(store.url).port}{path}"
        with Page(action, '["x","="]') as url:
            options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
            ran = subprocess.run(
                [chromium, *options, f"--user-data-dir={tmp_path}", "--dump-dom", url],
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        assert "cors.origin" in ran.stdout, ran.stdout + ran.stderr
        assert client.get("/v1/kv/x").json()["data"] == 1
