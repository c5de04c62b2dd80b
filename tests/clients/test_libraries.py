"""Test unmodified libraries that keep their data in Workers KV."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from docs.pages import ROOT

from clients.conftest import HERE
from servers.installed import Find, npm_packages
from servers.workerd import RunningWorkerd
from workertown_kv.testing import ServedStore

SOURCES = HERE / "libraries"


@pytest.fixture(scope="module")
def libraries(require_program: Find) -> Path:
    """Return the `node_modules` with the libraries."""
    return npm_packages(SOURCES, require_program)


@pytest.fixture(scope="module")
def told(
    store: ServedStore, npm: Path, libraries: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Return the results of a Worker that uses the libraries, with a namespace of the store."""
    script = tmp_path_factory.mktemp("libraries") / "worker.js"
    # wrangler brings esbuild, and uses it in this way for a Worker.
    bundle: list[str | Path] = [npm / ".bin" / "esbuild", SOURCES / "worker.js"]
    bundle += ["--bundle", "--format=esm", f"--outfile={script}"]
    bundle += ["--conditions=workerd,worker,browser", "--log-level=warning"]
    bundle += ["--external:cloudflare:*", "--external:node:*"]
    subprocess.run(bundle, env={**os.environ, "NODE_PATH": str(libraries)}, check=True, timeout=60)
    with RunningWorkerd(npm, store.url, {"KV": store.headers}, script) as worker:
        answer = httpx2.get(worker.url, timeout=60)
        assert answer.status_code == 200, answer.text
        yield answer.json()


def test_readers_are_shown_the_versions_that_are_tested() -> None:
    page = (ROOT / "docs" / "reference" / "cloudflare-clients.md").read_text()
    pins = msgspec.json.decode((SOURCES / "package.json").read_bytes())["dependencies"]
    shown = set(pins) - {"@cloudflare/workers-types", "react", "react-router"}
    rows = page.splitlines()
    for name in shown:
        assert any(name in row and pins[name] in row for row in rows), name


def test_unstorage_keeps_its_items_by_the_binding(told: Any) -> None:
    assert told["unstorage"] == {
        "found": [{"x": 1}, "text", False],
        "keys": ["a:b", "c"],
        "left": [],
    }


def test_sessions_of_react_router_are_kept_and_destroyed(told: Any) -> None:
    assert told["sessions"] == {"user": "ada", "gone": None}


def test_a_rate_limiter_of_hono_lets_clients_in_with_its_default_window(told: Any) -> None:
    # A second may begin between the Worker's clock and the server's, now and then: also at
    # Cloudflare, one second less than the least is refused.
    assert told["limited"].count(200) > 10, told["limited"]


def test_unstorage_keeps_its_items_by_the_rest_api(
    store: ServedStore, libraries: Path, namespace: str, require_program: Find
) -> None:
    node = require_program("node", "nodejs")
    ran = subprocess.run(
        [node, SOURCES / "unstorage_http.mjs", store.url, namespace, "test-key"],
        env={**os.environ, "NODE_PATH": str(libraries)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert msgspec.json.decode(ran.stdout) == {
        "found": [{"x": 1}, "text", False],
        "keys": ["a:b", "c"],
        "fewer": ["a:b"],
        "left": [],
    }
