"""Test that Cloudflare's clients accept the server that the tests of D1Storage use."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clients.wrangler import Wrangler
from servers.d1 import ACCOUNT, DATABASE, TOKEN, StandInD1
from servers.installed import Find, python_packages
from workertown_kv.options import Secret
from workertown_kv.storage.d1 import D1Storage
from workertown_kv.testing.conformance.operations import put

pytestmark = pytest.mark.deep

HERE = Path(__file__).parent
SEEN = {
    "about": ["kv"],
    "rows": [[1, "grüß dich ☕", [0, 255]]],
    "named": [[{"text": "grüß dich ☕"}]],
    "batch": [[["a"]], [["b"]]],
    "status": 400,
    "code": 7500,
}


def test_the_sdk_for_javascript_accepts_it(npm: Path, require_program: Find) -> None:
    command = [require_program("node", "nodejs"), str(HERE / "d1/ask.cjs")]
    with StandInD1() as server:
        assert _ran(command, server, {"NODE_PATH": str(npm)}) == SEEN


def test_the_sdk_for_python_accepts_it() -> None:
    packages = python_packages(HERE / "cloudflare-5.9.0.txt")
    command = [sys.executable, str(HERE / "d1/ask.py")]
    with StandInD1() as server:
        assert _ran(command, server, {"PYTHONPATH": str(packages)}) == SEEN


def test_wrangler_reads_what_the_storage_has_written(
    npm: Path, require_program: Find, tmp_path: Path
) -> None:
    async def write(url: str) -> None:
        storage = D1Storage(url, token=Secret(TOKEN))
        await storage.open()
        await storage.set(put("theme", b'"dark"'))
        await storage.close()

    with StandInD1() as server:
        asyncio.run(write(server.url))
        base = server.api_url.removesuffix("/client/v4")
        wrangler = Wrangler(require_program("node", "nodejs"), npm, base, tmp_path)
        text = "SELECT key, value FROM entry WHERE namespace = 'default'; SELECT 1 AS one"
        ran = wrangler.ran_any(
            *("d1", "execute", "kv", "--remote", "--yes", "--json", "--command", text),
            CLOUDFLARE_API_TOKEN=TOKEN,
            CLOUDFLARE_ACCOUNT_ID=ACCOUNT,
        )
    assert ran.returncode == 0, (ran.stdout + ran.stderr).decode()
    entries, one = json.loads(ran.stdout)
    assert entries["results"] == [{"key": "theme", "value": '"dark"'}]
    assert one["results"] == [{"one": 1}]


def _ran(command: list[str], server: StandInD1, env: dict[str, str]) -> object:
    ran = subprocess.run(
        [*command, server.api_url, ACCOUNT, DATABASE, TOKEN],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
