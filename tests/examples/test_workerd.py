"""Test the Worker that keeps short links, in real workerd, against a served store."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx2

from servers.installed import npm_packages
from servers.workerd import workerd_program
from workertown_kv.testing import ServedStore, free_port

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "workerd"


def test_short_links_are_kept_in_a_store(
    require_program: Callable[[str, str], str], tmp_path: Path
) -> None:
    modules = npm_packages(ROOT / "tests" / "clients" / "npm", require_program)
    url = f"http://127.0.0.1:{free_port()}"
    with ServedStore(tmp_path / "kv.sqlite", api_key="secret") as server, server.client() as kv:
        workerd = subprocess.Popen(
            [
                *(workerd_program(modules), "serve", EXAMPLE / "config.capnp"),
                f"--external-addr=kv=127.0.0.1:{server.port}",
                f"--socket-addr=http={url.removeprefix('http://')}",
            ]
        )
        try:
            with httpx2.Client(base_url=url, timeout=30) as client:
                wait_for(client)
                put = client.put("/docs%2Fa", content="https://example.com/docs")
                assert put.status_code == 201
                assert put.text == "/docs/a leads to https://example.com/docs\n"
                got = client.get("/docs%2Fa")
                assert got.status_code == 302
                assert got.headers["Location"] == "https://example.com/docs"
                ((link, made),) = ((one["name"], one["made"]) for one in client.get("/").json())
                assert (link, made[:2]) == ("docs/a", "20")
                read = kv.get("/v1/kv/docs/a", headers={"Accept": "application/octet-stream"})
                assert read.text == "https://example.com/docs"
                assert client.put("/b", content="nonsense").status_code == 400
                assert client.delete("/docs%2Fa").status_code == 204
                assert client.get("/docs%2Fa").status_code == 404
                assert client.get("/").json() == []
        finally:
            workerd.terminate()
            workerd.wait(timeout=30)


def wait_for(client: httpx2.Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            client.get("/")
        except httpx2.TransportError:
            assert time.monotonic() < deadline, "workerd did not start"
            time.sleep(0.02)
        else:
            return
