"""Test that a scrape counts for all workers, whichever worker gets it."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from metrics_text import TOKEN, TOKEN_FIELDS, Scrape
from waiting import wait_until
from workertown_kv.testing import ServedStore

REQUESTS = "kv_http_requests_total"
KV = "/v1/kv/{key}"
CLIENTS = 4
GETS = 20


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStore]:
    database = tmp_path_factory.mktemp("metrics") / "kv.sqlite"
    args = ["--no-access-log", "--workers", "2"]
    with ServedStore(database, args=args, env={"KV_METRICS_TOKEN": TOKEN}) as served:
        yield served


def scrape(store: ServedStore) -> Scrape:
    """Read the metrics over a new connection, which any worker may accept once it has started."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with store.client() as client:
                return Scrape(client.get("/metrics", headers=TOKEN_FIELDS))
        except httpx2.TransportError:
            assert time.monotonic() < deadline, "no worker answers"
            time.sleep(0.02)


def workers_of(store: ServedStore) -> list[int]:
    tasks = Path(f"/proc/{store.pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def load(store: ServedStore) -> None:
    """Send some requests over a connection of its own."""
    with store.client() as client:
        client.put("/v1/kv/a", json={"value": 1}).raise_for_status()
        for _ in range(GETS):
            client.get("/v1/kv/a").raise_for_status()


def test_a_scrape_counts_for_all_workers_also_for_those_that_have_died(store: ServedStore) -> None:
    # With so many clients, each worker gets some.
    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(4):
            list(pool.map(load, [store] * CLIENTS))
    sent = 4 * CLIENTS

    def counts(found: Scrape) -> tuple[float, float, float]:
        return (
            found.sum(REQUESTS, route=KV, method="GET", status="200"),
            found.sum("kv_http_request_duration_seconds_count", route=KV, method="GET"),
            found.sum(REQUESTS, route=KV, method="PUT"),
        )

    expected: tuple[float, float, float] = (sent * GETS, sent * GETS, sent)
    # A worker counts a request right after its answer, which the client may have seen before.
    wait_until(lambda: counts(scrape(store)) == expected)
    found = scrape(store)
    assert found.sum("kv_workers") == 2
    assert found.sum("process_resident_memory_bytes", worker="0") > 1_000_000
    assert found.sum("process_resident_memory_bytes", worker="1") > 1_000_000
    assert found.sum("kv_http_connections") >= 1
    assert found.sum("kv_storage_file_bytes") > 0

    # What the storages count comes once a second.
    def groups() -> float:
        return scrape(store).sum("kv_storage_group_operations_sum", operations="writes")

    wait_until(lambda: groups() >= sent)
    first = {*workers_of(store)}
    for worker in first:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len({*workers_of(store)} - first) == 2)
    wait_until(lambda: scrape(store).sum("kv_worker_restarts_total") == 2)
    assert counts(scrape(store)) == expected
    assert groups() >= sent
    load(store)
    expected = ((sent + 1) * GETS, (sent + 1) * GETS, sent + 1)
    wait_until(lambda: counts(scrape(store)) == expected)


def test_a_reload_goes_on_counting_and_is_counted(store: ServedStore) -> None:
    load(store)
    before = scrape(store)
    os.kill(store.pid, signal.SIGHUP)
    wait_until(lambda: scrape(store).sum("kv_reloads_total", result="done") == 1)
    load(store)
    wait_until(
        lambda: (
            scrape(store).sum(REQUESTS, route=KV, method="GET")
            >= before.sum(REQUESTS, route=KV, method="GET") + GETS
        )
    )
