"""Test servers over a Galera cluster, each over its own node, while nodes are lost and return."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from caller import Caller, make_server
from servers.galera import GaleraCluster, galera_provider
from servers.mariadb import mariadb_program
from workertown_kv.operations import Set
from workertown_kv.storage import SWEEP_MARGIN_SECONDS, Storage
from workertown_kv.storage.mysql import MysqlStorage
from workertown_kv.storage.url import storage_from_url
from workertown_kv.testing import MovedClock, ServedStore
from workertown_kv.testing.conformance.listings import all_keys

from .load import Load

pytestmark = [pytest.mark.anyio, pytest.mark.deep]

Find = Callable[[str, str], str]


@pytest.fixture(scope="module")
def cluster(require_program: Find) -> Iterator[GaleraCluster]:
    program, provider = mariadb_program(require_program), galera_provider(require_program)
    for name in ("rsync", "lsof"):
        require_program(name, name)
    with GaleraCluster(program, provider) as running:
        yield running


async def test_no_acknowledged_write_is_lost_with_a_node(cluster: GaleraCluster) -> None:
    lost, stubborn = cluster.nodes[0], len(cluster.nodes)
    # One server knows only that node, and waits for it.
    async with load_on([*cluster.urls, lost.url], "killed") as load:
        await load.more()
        await asyncio.to_thread(lost.kill)
        await load.more(but=stubborn)
        await asyncio.to_thread(lost.rejoin)
        await load.more()
        figures = await load.figures()
    print(f"\nGalera, a node killed: {figures}")
    assert (figures.lost, figures.faults) == (0, [])


async def test_no_acknowledged_write_is_lost_with_all_nodes_at_once(cluster: GaleraCluster) -> None:
    async with load_on([node.url for node in cluster.nodes], "all_killed") as load:
        await load.more()
        await asyncio.gather(*(asyncio.to_thread(node.kill) for node in cluster.nodes))
        await load.trouble()
        await asyncio.to_thread(cluster.rejoin)
        await load.more()
        figures = await load.figures()
    print(f"\nGalera, all nodes killed at once: {figures}")
    assert (figures.lost, figures.faults) == (0, [])


async def test_a_node_that_is_cut_off_answers_nothing_and_its_server_goes_to_another(
    cluster: GaleraCluster,
) -> None:
    lost, stubborn = cluster.nodes[0], len(cluster.nodes)
    async with load_on([*cluster.urls, lost.url], "cut_off") as load:
        await load.more()
        with lost.cut_off():
            await load.trouble()
            await load.more(but=stubborn)
        await load.more()
        figures = await load.figures()
    print(f"\nGalera, a node cut off: {figures}")
    assert (figures.lost, figures.faults) == (0, [])


async def test_of_two_batches_that_guard_what_the_other_one_writes_one_is_done(
    cluster: GaleraCluster,
) -> None:
    """Although each server has its locks on another node."""
    async with (
        make_server(storage_from_url(f"{cluster.urls[0]}?table=batch")) as one,
        make_server(storage_from_url(f"{cluster.urls[1]}?table=batch")) as two,
    ):
        callers = Caller(one), Caller(two)
        statuses = Counter[int]()
        for _ in range(30):
            versions = {key: await put(callers[0], key) for key in ("mine", "yours")}
            answers = await asyncio.gather(
                guarded(callers[0], "mine", "yours", versions),
                guarded(callers[1], "yours", "mine", versions),
            )
            statuses.update(answers)
    assert statuses == {200: 30, 409: 30}


async def test_all_workers_of_a_server_go_to_another_node(cluster: GaleraCluster) -> None:
    lost = cluster.nodes[0]
    acknowledged: dict[int, set[str]] = {number: set() for number in range(8)}
    done = threading.Event()

    def write(served: ServedStore, number: int) -> None:
        """Send a request over a new connection, which leads to any of the workers."""
        with served.client() as client:
            for key in (f"{number} {i}" for i in count()):
                if done.is_set():
                    return
                status = client.put(f"/v1/kv/{key}", json={"value": 1}).status_code
                assert status in (200, 503)
                if status == 200:
                    acknowledged[number].add(key)

    async def more(writes: int) -> None:
        aims = {number: len(keys) + writes for number, keys in acknowledged.items()}
        while any(len(acknowledged[number]) < aim for number, aim in aims.items()):
            assert not any(one.done() for one in writing)
            await asyncio.sleep(0.01)

    database = f"{cluster.urls[0]}?table=workers"
    flags = ("--no-access-log", "--workers", "2")
    with ServedStore(database, args=flags) as served, ThreadPoolExecutor(8) as threads:
        writing = [threads.submit(write, served, number) for number in acknowledged]
        try:
            async with asyncio.timeout(60):
                await more(20)
                await asyncio.to_thread(lost.kill)
                await more(20)
        finally:
            done.set()
        await asyncio.to_thread(lost.rejoin)
    for one in writing:
        one.result()
    storage = storage_from_url(database)
    await storage.open()
    assert set().union(*acknowledged.values()) <= {*await all_keys(storage, "", 1000)}
    await storage.close()


async def test_on_each_node_one_sweeps_and_nothing_is_left(
    cluster: GaleraCluster, clock: MovedClock
) -> None:
    urls = [f"{url}?table=sweep" for url in cluster.urls] * 2
    storages: list[Storage] = [MysqlStorage(url, clock=clock) for url in urls]
    for storage in storages:
        await storage.open()
    for number in range(300):
        entry = Set(namespace="default", key=str(number), value=b"1", expires_at=clock() + 1)
        await storages[0].set(entry)
    clock.move(1 + SWEEP_MARGIN_SECONDS)
    swept = 0
    while swept < 300:
        swept += sum(await asyncio.gather(*(storage.sweep(50) for storage in storages)))
    assert swept == 300
    assert cluster.nodes[1].sql("SELECT count(*) FROM sweep") == "0"
    await asyncio.gather(*(storage.close() for storage in storages))


async def test_servers_may_start_at_once_on_different_nodes(cluster: GaleraCluster) -> None:
    for number in range(5):
        storages = [storage_from_url(f"{url}?table=start_{number}") for url in cluster.urls]
        await asyncio.gather(*(storage.open() for storage in storages))
        await asyncio.gather(*(storage.check() for storage in storages))
        await asyncio.gather(*(storage.close() for storage in storages))


def load_on(urls: list[str], table: str) -> Load:
    """Return a new table, since each load begins without entries."""
    return Load([storage_from_url(f"{url}?table={table}") for url in urls])


async def put(call: Caller, key: str) -> str:
    return (await call.put(key, 0)).headers["etag"].strip('"')


async def guarded(call: Caller, key: str, other: str, versions: dict[str, str]) -> int:
    """Write a key if neither key has changed, and return the status of the answer."""
    operations = [
        {"op": "get", "key": other, "if_version": versions[other]},
        {"op": "set", "key": key, "value": 1, "if_version": versions[key]},
    ]
    answer = await call("POST", "/v1/kv", json={"atomic": True, "operations": operations})
    return answer.status_code
