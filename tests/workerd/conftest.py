"""Run a server, and a Worker in real workerd that has it behind `env`."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.installed import npm_packages
from servers.workerd import RunningWorkerd, Worker
from workertown_kv.testing import ServedStore

# The docs are a package of the repository, where `pytest` alone does not look.
sys.path.insert(0, str(Path(__file__).parents[2]))

NAMESPACES = "/client/v4/accounts/any/storage/kv/namespaces"


@pytest.fixture(scope="session")
def modules(require_program: Callable[[str, str], str]) -> Path:
    # wrangler brings miniflare, and that brings workerd.
    return npm_packages(Path(__file__).parents[1] / "clients" / "npm", require_program)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStore]:
    database = tmp_path_factory.mktemp("kv") / "kv.sqlite"
    args = ("--no-access-log", "--log-level", "info")
    with ServedStore(database, args=args) as server, server.client() as client:
        for title in ("one", "two"):
            assert client.post(NAMESPACES, json={"title": title}).status_code == 200
        yield server


@pytest.fixture(scope="module")
def worker(modules: Path, server: ServedStore) -> Iterator[Worker]:
    bindings = {
        "KV": server.headers,
        "ONE": {**server.headers, "X-KV-Namespace": "one"},
        "TWO": {**server.headers, "X-KV-Namespace": "two"},
        "NO_NAMESPACE": {**server.headers, "X-KV-Namespace": "three"},
        "NO_KEY": {},
        "WRONG_KEY": {"Authorization": "Bearer another-key"},
    }
    with RunningWorkerd(modules, server.url, bindings) as worker:
        yield worker
