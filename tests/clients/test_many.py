"""Test the largest requests that Cloudflare allows, and listings of very many keys."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from clients.conftest import started
from clients.doors import rest
from clients.sdk import PYTHON_5, Sdk
from test_large_values import family, peak_memory
from workertown_kv.testing import ServedStore

PAIRS = 10_000
BULK_BYTES = 100 * 1000 * 1000
MOST_TIMES = 2.5
"""The most memory that a process may ever have, as a multiple of the body that it received."""

LISTED = 100_000
BRIEF = 2_000


pytestmark = pytest.mark.deep


def test_a_bulk_put_of_100_mb_takes_little_more_memory_than_its_body(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc, which only Linux has")
    text = "x" * (BULK_BYTES // PAIRS)
    pairs = [{"key": f"{number:05}", "value": text} for number in range(PAIRS)]
    body = json.dumps(pairs).encode()
    url = rest("0" * 32)
    limit = {"KV_OPTIONS__LIMITS__BATCH_BYTES": str(2 * BULK_BYTES)}
    with ServedStore(tmp_path / "kv.sqlite", env=limit) as server:
        with server.client(timeout_seconds=120) as http:
            done = http.put(f"{url}/bulk", content=body).json()["result"]
            assert done == {"successful_key_count": PAIRS, "unsuccessful_keys": []}
            for number in (0, PAIRS - 1):
                assert http.get(f"{url}/values/{number:05}").text == text
        peaks = [peak_memory(process) for process in family(server.pid)]
    assert len(peaks) > 1, "There is no worker process"
    assert BULK_BYTES < max(peaks) < MOST_TIMES * len(body)


@pytest.fixture
def python_sdk(request: pytest.FixtureRequest, store: ServedStore) -> Iterator[Sdk]:
    with started(PYTHON_5, store, request) as running:
        yield running


@pytest.fixture
def stable(http: httpx2.Client, namespace: str) -> list[str]:
    """Return the keys of a namespace that has very many, in order."""
    names = [f"{number:06}/ключ" for number in range(LISTED)]
    for start in range(0, LISTED, PAIRS):
        pairs = [{"key": one, "value": "1"} for one in names[start : start + PAIRS]]
        assert http.put(f"{rest(namespace)}/bulk", json=pairs).status_code == 200
    return names


def test_a_listing_of_100_000_keys_misses_and_repeats_none_while_others_write_and_keys_expire(
    python_sdk: Sdk, store: ServedStore, http: httpx2.Client, namespace: str, stable: list[str]
) -> None:
    named = {"X-KV-Namespace": namespace}
    # More than two pages in a row that are gone when the listing comes there, or are going.
    for ttl in (1, 2, 3):
        sets = [
            {"op": "set", "key": f"05{ttl}000+brief/{number}", "value": 1, "ttl": ttl}
            for number in range(BRIEF)
        ]
        for start in (0, 1000):
            operations = {"operations": sets[start : start + 1000]}
            assert http.post("/v1/kv", json=operations, headers=named).status_code == 200
    ended = threading.Event()
    rounds = 0

    def write() -> None:
        nonlocal rounds
        with store.client() as others:
            while not ended.is_set():
                at = (rounds * 7919) % LISTED
                operations = [
                    {"op": "set", "key": stable[at], "value": rounds},
                    {"op": "set", "key": f"{at:06}/a new one", "value": 1},
                    {"op": "set", "key": f"{at:06}/comes and goes", "value": 1},
                    {"op": "delete", "key": f"{at:06}/comes and goes"},
                ]
                body = {"operations": operations}
                assert others.post("/v1/kv", json=body, headers=named).status_code == 200
                rounds += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        listed = [one["name"] for one in python_sdk.keys(namespace)]
    finally:
        ended.set()
        writer.join()
    assert rounds > 50
    assert listed == sorted(set(listed))
    stable_names = set(stable)
    assert [one for one in listed if one in stable_names] == stable
