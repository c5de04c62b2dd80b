"""Clients of stores in memory, in a file, and on a server."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from workertown_kv import Client
from workertown_kv.testing import ServedStore

STORES = ("memory", "sqlite", "server")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStore]:
    digest = hashlib.sha256(b"narrow-key").hexdigest()
    scopes = [{"verbs": ["read", "write", "list"], "prefixes": ["narrow/"]}]
    named = json.dumps({"name": "narrow", "hash": f"sha256:{digest}", "scopes": scopes})
    folder = tmp_path_factory.mktemp("served")
    with ServedStore(folder / "kv.sqlite", env={"KV_API_KEYS": named}) as store:
        yield store


def url_of(kind: str, folder: Path) -> str:
    return "memory://" if kind == "memory" else str(folder / "kv.sqlite")


@pytest.fixture(scope="module", params=STORES)
def client(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """Return a client of each kind of store."""
    if request.param == "server":
        served = request.getfixturevalue("served")
        made = Client(served.url, api_key="test-key")
    else:
        made = Client(url_of(request.param, tmp_path_factory.mktemp("client")))
    with made:
        yield made


@pytest.fixture
def store(client: Client) -> Client:
    client.delete_prefix("", all=True)
    return client
