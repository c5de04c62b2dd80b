"""Serve a store for Cloudflare's own clients, unmodified."""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from clients.sdk import ACCOUNT, PYTHON_4, PYTHON_5, TYPESCRIPT, Sdk
from clients.wrangler import Wrangler
from servers.installed import Find, npm_packages, python_packages
from workertown_kv.testing import ServedStore

HERE = Path(__file__).parent

# The docs, whose page has the same keys, are a package of the repository.
sys.path.insert(0, str(HERE.parents[1]))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStore]:
    with ServedStore(
        tmp_path_factory.mktemp("clients") / "kv.sqlite",
        env={"KV_USERNAME": "me@example.com", "KV_PASSWORD": "s3cret:word"},
    ) as served:
        yield served


@pytest.fixture(scope="session")
def http(store: ServedStore) -> Iterator[httpx2.Client]:
    with store.client() as client:
        yield client


@pytest.fixture(scope="session")
def npm(require_program: Find) -> Path:
    """Return the `node_modules` with Cloudflare's clients for Node."""
    return npm_packages(HERE / "npm", require_program)


def started(name: str, store: ServedStore, request: pytest.FixtureRequest) -> Sdk:
    """Start the SDK of this name."""
    if name == TYPESCRIPT:
        node = request.getfixturevalue("require_program")("node", "nodejs")
        return Sdk.in_typescript(node, request.getfixturevalue("npm"), store.url)
    packages = python_packages(HERE / f"cloudflare-{name.rsplit(maxsplit=1)[-1]}.txt")
    return Sdk.in_python(name, packages, store.url)


@pytest.fixture(
    scope="module", params=[PYTHON_5, pytest.param(PYTHON_4, marks=pytest.mark.deep), TYPESCRIPT]
)
def sdk(request: pytest.FixtureRequest, store: ServedStore) -> Iterator[Sdk]:
    with started(request.param, store, request) as running:
        yield running


@pytest.fixture
def namespace(http: httpx2.Client) -> Iterator[str]:
    """Make a namespace for the test, and delete it in the end."""
    above = f"/client/v4/accounts/{ACCOUNT}/storage/kv/namespaces"
    made = http.post(above, json={"title": "the test's own"})
    id: str = made.json()["result"]["id"]
    yield id
    assert http.delete(f"{above}/{id}").status_code == 200


@pytest.fixture
def wrangler(
    store: ServedStore, npm: Path, require_program: Find, namespace: str, tmp_path: Path
) -> Wrangler:
    made = Wrangler(require_program("node", "nodejs"), npm, store.url, tmp_path)
    made.namespace = namespace
    return made
