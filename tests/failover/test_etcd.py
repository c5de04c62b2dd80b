"""Test servers over an etcd cluster of three that loses its leader, or its network."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from servers.etcd import EtcdTrio
from servers.relay import Relay
from workertown_kv.storage.url import storage_from_url

from .load import Load

pytestmark = [pytest.mark.anyio, pytest.mark.deep]

SERVERS = 3
TIMES = 2
WRITES = 60
"""How many writes each server acknowledges between two events."""

FEW = 15


@pytest.fixture
def trio(require_program: Callable[[str, str], str], tmp_path: Path) -> Iterator[EtcdTrio]:
    with EtcdTrio(require_program("etcd", "etcd-server"), tmp_path) as trio:
        yield trio


async def test_no_acknowledged_write_is_lost_with_the_leader(trio: EtcdTrio) -> None:
    servers = [storage_from_url(f"{trio.url}?timeout=3") for _ in range(SERVERS)]
    async with Load(servers) as load:
        for _ in range(TIMES):
            await load.more(WRITES)
            leader = await asyncio.to_thread(lambda: trio.leader)
            await asyncio.to_thread(leader.kill)
            await load.more(WRITES)
            await asyncio.to_thread(leader.start)
        await load.more(WRITES)
        figures = await load.figures()
    print(f"\netcd, three members, the leader killed {TIMES} times: {figures}")
    assert (figures.lost, figures.faults) == (0, [])


async def test_no_acknowledged_write_is_lost_if_the_leader_hangs(trio: EtcdTrio) -> None:
    servers = [storage_from_url(f"{trio.url}?timeout=2") for _ in range(SERVERS)]
    async with Load(servers) as load:
        await load.more(WRITES)
        leader = await asyncio.to_thread(lambda: trio.leader)
        leader.pause()
        try:
            await load.more(WRITES)
        finally:
            leader.resume()
        await load.more(WRITES)
        figures = await load.figures()
    print(f"\netcd, three members, the leader hung: {figures}")
    assert (figures.lost, figures.faults) == (0, [])


async def test_no_acknowledged_write_is_lost_if_all_members_are_killed(trio: EtcdTrio) -> None:
    servers = [storage_from_url(f"{trio.url}?timeout=2") for _ in range(SERVERS)]
    async with Load(servers) as load:
        await load.more(WRITES)
        for member in trio.members:
            await asyncio.to_thread(member.kill)
        await load.trouble()
        for member in trio.members:
            await asyncio.to_thread(member.start, waits=False)
        await load.more(WRITES)
        figures = await load.figures()
    print(f"\netcd, three members, all killed at once: {figures}")
    assert (figures.lost, figures.faults) == (0, [])


async def test_no_acknowledged_write_is_lost_in_a_faulty_network(trio: EtcdTrio) -> None:
    with ExitStack() as running:
        relays = [running.enter_context(Relay(member.port)) for member in trio.members]
        hosts = ",".join(f"127.0.0.1:{relay.port}" for relay in relays)
        servers = [storage_from_url(f"etcd://{hosts}?timeout=2") for _ in range(SERVERS)]
        async with Load(servers) as load:
            for relay in relays:
                await load.more(FEW)
                relay.lose_answers(5)
                await load.more(FEW)
                relay.lose_requests(5, after_bytes=50)
                await load.more(FEW)
                relay.cut()
                await load.more(FEW)
                with relay.slow(delay_seconds=0.05):
                    await load.more(FEW)
                with relay.refusing():
                    await load.more(FEW)
            figures = await load.figures()
    print(f"\netcd, three members, a faulty network: {figures}")
    assert (figures.lost, figures.faults) == (0, [])
