"""Share what the tests of EtcdStorage need."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha1

import pytest

from servers.etcd import RunningMember
from servers.installed import Find
from storage.redis_case import SPACE, acts_on, outcome_of, put
from workertown_kv.storage import Clock
from workertown_kv.storage.etcd import EtcdStorage

__all__ = ["SPACE", "acts_on", "member", "opened", "outcome_of", "prefix", "program", "put"]


@asynccontextmanager
async def opened(url: str, clock: Clock | None = None) -> AsyncIterator[EtcdStorage]:
    storage = EtcdStorage(url, clock=clock) if clock else EtcdStorage(url)
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


@pytest.fixture(scope="session")
def program(require_program: Find) -> str:
    return require_program("etcd", "etcd-server")


@pytest.fixture(scope="module")
def member(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMember]:
    with RunningMember(program, tmp_path_factory.mktemp("etcd")) as member:
        yield member


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Return the beginning of the keys in etcd, which no other test has."""
    return sha1(request.node.nodeid.encode()).hexdigest()
