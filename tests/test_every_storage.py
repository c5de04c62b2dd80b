"""Test that a server gives clients the same answers over every storage."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

import httpx2
import pytest

from metrics_text import Scrape
from servers.databases import database
from servers.installed import Find
from waiting import wait_until
from workertown_kv.testing import ServedStore
from workertown_kv.testing.strategies import ODD_KEYS

ENGINES: Final = (
    *("sqlite", "postgres"),
    *(
        pytest.param(name, marks=pytest.mark.deep)
        for name in ("redis", "mariadb", "upstash", "etcd", "dynamodb")
    ),
)

WITHOUT_GROUPS: Final = {"dynamodb"}
"""The engines to which each operation is a request of its own."""

LARGEST: Final = {"etcd": 1_507_328}
"""The size of the largest value, of the engines that have a limit of their own."""


@pytest.fixture(scope="module", params=ENGINES)
def stores(
    request: pytest.FixtureRequest,
    require_program: Find,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[ServedStore]]:
    """Serve two servers over one database."""
    folder = tmp_path_factory.mktemp("database")
    with ExitStack() as running:
        url = database(request.param, require_program, folder, running)
        env = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        yield [running.enter_context(ServedStore(url, env=env)) for _ in range(2)]


@pytest.fixture
def clients(stores: list[ServedStore]) -> Iterator[list[httpx2.Client]]:
    with ExitStack() as opened:
        yield [opened.enter_context(store.client()) for store in stores]


def test_what_one_server_writes_the_other_reads_at_once(clients: list[httpx2.Client]) -> None:
    one, other = clients
    for i in range(20):
        put = one.put("/v1/kv/shared", json={"value": i, "metadata": {"n": i}})
        assert put.status_code == 200
        got = other.get("/v1/kv/shared")
        assert (got.json()["data"], got.headers["etag"]) == (i, put.headers["etag"])
        assert got.headers["x-kv-metadata"] == f'{{"n":{i}}}'
    assert other.delete("/v1/kv/shared").status_code == 200
    assert one.get("/v1/kv/shared").status_code == 404


def test_every_odd_key_comes_back(clients: list[httpx2.Client]) -> None:
    one, other = clients
    for key in ODD_KEYS:
        put = one.put("/v1/kv", params={"key": f"odd/{key}"}, json={"value": key})
        assert put.status_code == 200, put.text
        got = other.get("/v1/kv", params={"key": f"odd/{key}"})
        assert got.json()["data"] == key
    listed: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = other.get("/v1/kv", params={"prefix": "odd/", "limit": "7", **cursor}).json()["data"]
        listed += [one["key"] for one in page["keys"]]
        if page["complete"]:
            break
        cursor = {"cursor": page["cursor"]}
    assert listed == sorted((f"odd/{key}" for key in ODD_KEYS), key=str.encode)


def test_folders_are_listed_and_deleted(clients: list[httpx2.Client]) -> None:
    one, other = clients
    for key in ("f/a/1", "f/a/2", "f/b/1", "f/c"):
        put = one.put("/v1/kv", params={"key": key}, json={"value": key})
        assert put.status_code == 200, put.text

    def listed(**more: str) -> dict[str, Any]:
        answer = other.get("/v1/kv", params={"prefix": "f/", **more})
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()["data"]
        return page

    for reverse, folders in (("false", ["f/a/", "f/b/"]), ("true", ["f/b/", "f/a/"])):
        page = listed(delimiter="/", reverse=reverse, values="true")
        assert page["prefixes"] == folders
        assert [(item["key"], item["value"]) for item in page["keys"]] == [("f/c", "f/c")]
    page = listed(values="true", start_after="f/a/1", limit="2")
    assert [(item["key"], item["value"]) for item in page["keys"]] == [
        ("f/a/2", "f/a/2"),
        ("f/b/1", "f/b/1"),
    ]
    counted = one.delete("/v1/kv", params={"prefix": "f/a/", "dry_run": "true"})
    assert counted.json()["data"]["deleted"] == 2
    deleted = one.delete("/v1/kv", params={"prefix": "f/a/"})
    assert deleted.json()["data"] == {"deleted": 2, "cursor": None, "complete": True}
    assert [item["key"] for item in listed()["keys"]] == ["f/b/1", "f/c"]
    assert other.get("/v1/kv", params={"key": "f/a/1"}).status_code == 404


def test_its_connections_and_groups_are_measured(
    clients: list[httpx2.Client], request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.params["stores"] in WITHOUT_GROUPS:
        pytest.skip("each operation is a request of its own")
    for number in range(3):
        clients[0].put("/v1/kv/measured", json={"value": number}).raise_for_status()
    found = Scrape(clients[0].get("/metrics"))
    assert found.sum("kv_storage_group_operations_sum", operations="writes") >= 3
    assert found.sum("kv_storage_group_duration_seconds_sum", operations="writes") > 0
    assert found.sum("kv_storage_waiting_operations") >= 0
    (kind,) = [one.labels["storage"] for one, _ in found.samples if one.name == "kv_build_info"]
    if kind in ("postgres", "mysql", "redis"):
        used = found.sum("kv_storage_connections", state="used")
        idle = found.sum("kv_storage_connections", state="idle")
        assert 1 <= used + idle <= found.sum("kv_storage_connections_max")
        assert found.sum("kv_storage_connections_waiting") >= 0
    else:
        assert "kv_storage_connections" not in found.names
    assert ("kv_storage_log_bytes" in found.names) is (kind == "sqlite")


def test_counters_that_many_count_at_once_lose_nothing(clients: list[httpx2.Client]) -> None:
    clients[0].put("/v1/kv/counter", json={"value": 0})

    def count(client: httpx2.Client) -> None:
        added = 0
        while added < 5:
            got = client.get("/v1/kv/counter")
            put = client.put(
                "/v1/kv/counter",
                json={"value": got.json()["data"] + 1},
                headers={"If-Match": got.headers["etag"]},
            )
            assert put.status_code in (200, 412), put.text
            added += put.status_code == 200

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, clients * 2))
    assert clients[0].get("/v1/kv/counter").json()["data"] == 20


INCREMENTS: Final = 10


def test_increments_by_many_clients_are_all_counted(clients: list[httpx2.Client]) -> None:
    def count(client: httpx2.Client) -> int:
        answers = [client.patch("/v1/kv/visits", json={"increment": 1}) for _ in range(INCREMENTS)]
        return sum(one.status_code == 200 for one in answers)

    def count_once(numbered: tuple[int, httpx2.Client]) -> int:
        number, client = numbered
        for i in range(INCREMENTS):
            key = {"Idempotency-Key": f"{number}-{i}"}
            answers = [
                client.patch("/v1/kv/orders", json={"increment": 1}, headers=key) for _ in range(2)
            ]
            assert [one.status_code for one in answers] == [200, 200]
            assert answers[0].content == answers[1].content
        return INCREMENTS

    with ThreadPoolExecutor(4) as pool:
        counted = sum(pool.map(count, clients * 2))
        ordered = sum(pool.map(count_once, enumerate(clients * 2)))
    assert counted == 4 * INCREMENTS
    assert clients[0].get("/v1/kv/visits").json()["data"] == counted
    assert clients[0].get("/v1/kv/orders").json()["data"] == ordered


def test_each_value_is_taken_once(clients: list[httpx2.Client]) -> None:
    operations = [{"op": "set", "key": f"job/{i}", "value": i} for i in range(25)]
    assert clients[0].post("/v1/kv", json={"operations": operations}).status_code == 200

    def take_all(client: httpx2.Client) -> list[int]:
        answers = [client.delete(f"/v1/kv/job/{i}?take=true") for i in range(25)]
        return [one.json()["data"] for one in answers if one.status_code == 200]

    with ThreadPoolExecutor(4) as pool:
        taken = [one for some in pool.map(take_all, clients * 2) for one in some]
    assert sorted(taken) == list(range(25))


def test_a_touch_is_seen_by_the_other_server(clients: list[httpx2.Client]) -> None:
    one, other = clients
    put = one.put("/v1/kv/session", json={"value": 1, "ttl": 60})
    assert other.patch("/v1/kv/session", json={"ttl": 600}).headers["etag"] == put.headers["etag"]
    got = one.get("/v1/kv/session", headers={"If-None-Match": put.headers["etag"]})
    assert got.status_code == 304
    assert got.headers["expires"] == other.get("/v1/kv/session").headers["expires"]
    assert got.headers["expires"] != put.headers.get("expires")


def test_an_atomic_batch_does_all_or_nothing(clients: list[httpx2.Client]) -> None:
    one, other = clients
    one.put("/v1/kv/taken", json={"value": 1})
    operations = [
        {"op": "set", "key": "seat", "value": 1},
        {"op": "set", "key": "taken", "value": 2, "if_version": None},
    ]
    refused = one.post("/v1/kv", json={"operations": operations, "atomic": True})
    assert refused.status_code == 409
    assert [detail["path"] for detail in refused.json()["errors"]] == [["operations", 1]]
    assert other.get("/v1/kv/seat").status_code == 404
    done = one.post("/v1/kv", json={"operations": operations[:1], "atomic": True})
    assert done.status_code == 200
    assert other.get("/v1/kv/seat").json()["data"] == 1


def test_a_lifetime_ends_when_it_is_over(clients: list[httpx2.Client]) -> None:
    one, other = clients
    began = time.monotonic()
    put = one.put("/v1/kv/brief", json={"value": 1, "ttl": 1})
    assert put.status_code == 200
    wait_until(lambda: other.get("/v1/kv/brief").status_code != 200)
    assert time.monotonic() - began > 0.9
    again = one.put("/v1/kv/brief", json={"value": 2}, headers={"If-None-Match": "*"})
    assert again.status_code == 200


def test_the_largest_value_comes_back(
    clients: list[httpx2.Client], request: pytest.FixtureRequest
) -> None:
    one, other = clients
    largest = LARGEST.get(request.node.callspec.params["stores"], 26_214_400)
    body = b'{"value":"' + b"x" * (largest - 2) + b'"}'
    headers = {"Content-Type": "application/json", "Prefer": "return=minimal"}
    assert one.put("/v1/kv/large", content=body, headers=headers).status_code == 200
    got = other.get("/v1/kv/large", headers={"Accept": "application/octet-stream"})
    assert got.content == body[len(b'{"value":') : -1]
    assert one.delete("/v1/kv/large").status_code == 200


def test_no_password_is_printed_or_sent(stores: list[ServedStore]) -> None:
    with stores[0].client() as client:
        told = client.get("/admin/info").text + client.get("/open-api.json").text
    assert "s3cr" not in told
    # The only output so far is the line that names the database.
    assert "s3cr" not in stores[0].read_until("listens on")


def is_refused(client: httpx2.Client, headers: Mapping[str, str]) -> bool:
    return client.get("/v1/kv/a", headers=headers).status_code == 401


def test_an_api_key_that_one_server_makes_or_revokes_counts_at_the_other(
    clients: list[httpx2.Client],
) -> None:
    one, other = clients
    body = {"name": "ci", "ttl": 3600, "scopes": [{"verbs": ["read"], "prefixes": ["a"]}]}
    for _ in range(2):  # the name is free again afterwards
        made = one.post("/admin/api-keys", json=body).json()["data"]
        bearer = {"Authorization": f"Bearer {made.pop('api_key')}"}
        assert other.get("/v1/kv/a", headers=bearer).status_code == 404
        assert other.get("/v1/kv/b", headers=bearer).status_code == 403
        assert other.get("/admin/api-keys").json()["data"] == [made]
        assert other.post("/admin/api-keys", json=body).status_code == 409
        assert one.delete("/admin/api-keys/ci").status_code == 200
        assert one.get("/v1/kv/a", headers=bearer).status_code == 401
        wait_until(partial(is_refused, other, bearer))
        assert other.get("/admin/api-keys").json()["data"] == []
