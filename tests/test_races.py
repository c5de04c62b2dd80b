"""Test conditional writes of many clients at once, on two processes that share one file."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx2
import pytest

from workertown_kv.testing import ServedStore

CLIENTS = 5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStore]:
    args = ["--no-access-log", "--workers", "2"]
    with ServedStore(tmp_path_factory.mktemp("races") / "kv.sqlite", args=args) as served:
        yield served


def test_increments_by_if_match_are_never_lost(server: ServedStore) -> None:
    increments = 15
    with server.client() as client:
        assert client.put("/v1/kv/counter", json={"value": 0}).status_code == 200

    def increment(client: httpx2.Client, _: int) -> None:
        for _ in range(increments):
            while True:
                seen = client.get("/v1/kv/counter")
                answer = client.put(
                    "/v1/kv/counter",
                    json={"value": seen.json()["data"] + 1},
                    headers={"If-Match": seen.headers["etag"]},
                )
                if answer.status_code == 200:
                    break
                assert answer.status_code == 412, answer.text

    at_once(server, increment)
    with server.client() as client:
        assert client.get("/v1/kv/counter").json()["data"] == CLIENTS * increments


def test_exactly_one_of_many_creates_a_key(server: ServedStore) -> None:
    keys = [f"prize/{number}" for number in range(40)]
    answers: list[tuple[str, int, int]] = []

    def create(client: httpx2.Client, number: int) -> None:
        for key in keys:
            answer = client.put(
                f"/v1/kv/{key}", json={"value": number}, headers={"If-None-Match": "*"}
            )
            answers.append((key, number, answer.status_code))

    at_once(server, create)
    assert Counter(status for _, _, status in answers) == {
        200: len(keys),
        412: (CLIENTS - 1) * len(keys),
    }
    winners = {key: number for key, number, status in answers if status == 200}
    assert winners.keys() == set(keys)
    with server.client() as client:
        for key, number in winners.items():
            assert client.get(f"/v1/kv/{key}").json()["data"] == number


def test_atomic_batches_between_accounts_keep_the_total(server: ServedStore) -> None:
    accounts = [f"account/{number}" for number in range(5)]
    total, transfers = 500, 10
    opening = [{"op": "set", "key": key, "value": total // len(accounts)} for key in accounts]
    moves = Counter[int]()

    def batch(client: httpx2.Client, operations: list[dict[str, object]]) -> httpx2.Response:
        return client.post("/v1/kv", json={"atomic": True, "operations": operations})

    def transfer(client: httpx2.Client, number: int) -> None:
        while moves[number] < transfers:
            answer = batch(client, [{"op": "get", "key": key} for key in accounts])
            seen = answer.json()["data"]
            assert sum(account["value"] for account in seen) == total
            giver, taker = random.sample(seen, 2)
            amount = random.randint(0, giver["value"])
            answer = batch(client, [change(giver, -amount), change(taker, amount)])
            if answer.status_code == 200:
                moves[number] += 1
            else:
                assert answer.status_code == 409, answer.text

    def change(account: dict[str, object], by: int) -> dict[str, object]:
        value = account["value"]
        assert isinstance(value, int)
        changed = {"key": account["key"], "value": value + by, "if_version": account["version"]}
        return {"op": "set", **changed}

    with server.client() as client:
        assert batch(client, opening).status_code == 200
    at_once(server, transfer)
    with server.client() as client:
        values = [client.get(f"/v1/kv/{key}").json()["data"] for key in accounts]
    assert sum(values) == total
    assert min(values) >= 0
    assert moves == dict.fromkeys(range(CLIENTS), transfers)


def at_once(server: ServedStore, act: Callable[[httpx2.Client, int], None]) -> None:
    """Let every client do it, each over its own connection, all from the same moment on."""
    start = Barrier(CLIENTS)

    def run(number: int) -> None:
        with server.client() as client:
            assert client.get("/health").status_code == 200
            start.wait(timeout=30)
            act(client, number)

    with ThreadPoolExecutor(CLIENTS) as pool:
        for ended in [pool.submit(run, number) for number in range(CLIENTS)]:
            ended.result()
