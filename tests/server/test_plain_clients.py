"""What common clients send for a value is answered in place."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest
import requests

from caller import API_KEY, make_server
from served_socket import SECONDS, Served, serving
from servers.nginx import RunningNginx
from workertown_kv.server.plain_exchange import PlainExchange
from workertown_kv.storage.memory import MemoryStorage

pytestmark = [pytest.mark.anyio, pytest.mark.process]

Require = Callable[[str, str], str]

HEADERS = {"Authorization": f"Bearer {API_KEY}"}
LOGIN = {"username": "ada", "password": "engine"}


@pytest.fixture
async def store() -> AsyncIterator[Served]:
    auth = {"api_key": {"api_key": API_KEY}, "basic": LOGIN}
    async with (
        make_server(MemoryStorage(), auth=auth) as server,
        serving(server) as served,
    ):
        yield served


async def output_of(*command: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(4 * SECONDS):
        output, _ = await process.communicate()
    return output.decode()


async def test_curl(store: Served, require_program: Require, in_place: list[PlainExchange]) -> None:
    curl = require_program("curl", "curl")
    url = f"http://127.0.0.1:{store.port}/v1/kv/a"
    given = [curl, "-sS", "-H", f"Authorization: Bearer {API_KEY}"]
    body = ("-H", "Content-Type: application/json", "-d", '{"value":"curl"}')
    await output_of(*given, "-X", "PUT", *body, url)
    assert json.loads(await output_of(*given, url))["data"] == "curl"
    assert len(in_place) == 2


async def test_httpx2(store: Served, in_place: list[PlainExchange]) -> None:
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{store.port}", headers=HEADERS
    ) as client:
        await client.put("/v1/kv/a", json={"value": "httpx2"})
        assert (await client.get("/v1/kv/a")).json()["data"] == "httpx2"
        await client.delete("/v1/kv/a")
        assert (await client.get("/v1/kv/a")).status_code == 404
    assert len(in_place) == 4


async def test_requests(store: Served, in_place: list[PlainExchange]) -> None:
    def use() -> object:
        with requests.Session() as session:
            session.headers.update(HEADERS)
            url = f"http://127.0.0.1:{store.port}/v1/kv/a"
            session.put(url, json={"value": "requests"}, timeout=SECONDS)
            return session.get(url, timeout=SECONDS).json()["data"]

    assert await asyncio.to_thread(use) == "requests"
    assert len(in_place) == 2


async def test_undici_in_node(
    store: Served, require_program: Require, in_place: list[PlainExchange]
) -> None:
    node = require_program("node", "nodejs")
    script = f"""
        const url = "http://127.0.0.1:{store.port}/v1/kv/a";
        const headers = {json.dumps({**HEADERS, "Content-Type": "application/json"})};
        await fetch(url, {{ method: "PUT", headers, body: '{{"value":"undici"}}' }});
        console.log((await (await fetch(url, {{ headers }})).json()).data);
    """
    assert await output_of(node, "--input-type=module", "-e", script) == "undici\n"
    assert len(in_place) == 2


async def test_a_client_behind_nginx(
    store: Served, require_program: Require, in_place: list[PlainExchange]
) -> None:
    nginx = require_program("nginx", "nginx-light")
    server = """
        server {
            listen 80;
            location / {
                proxy_pass http://127.0.0.1:8787;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
                proxy_set_header Host $host;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                proxy_set_header X-Forwarded-Proto $scheme;
            }
        }
    """
    with RunningNginx(nginx, f"127.0.0.1:{store.port}", server) as proxy:
        async with httpx2.AsyncClient(base_url=proxy.url, headers=HEADERS) as client:
            await client.put("/v1/kv/a", json={"value": "nginx"})
            assert (await client.get("/v1/kv/a")).json()["data"] == "nginx"
    assert len(in_place) == 2


@pytest.mark.deep
async def test_chromium(
    store: Served, tmp_path: Path, require_program: Require, in_place: list[PlainExchange]
) -> None:
    chromium = require_program("chromium", "chromium")
    address = f"127.0.0.1:{store.port}"
    async with httpx2.AsyncClient(base_url=f"http://{address}", headers=HEADERS) as client:
        await client.put("/v1/kv/a", json={"value": "chromium"})
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    url = f"http://{LOGIN['username']}:{LOGIN['password']}@{address}/v1/kv/a"
    shown = await output_of(chromium, *options, f"--user-data-dir={tmp_path}", "--dump-dom", url)
    assert "chromium" in shown
    # The put, the request without the credentials, which Chromium sends first, and that with them.
    assert 2 <= len(in_place) <= 3
