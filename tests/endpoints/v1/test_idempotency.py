"""Test `Idempotency-Key`: the repetition of a request gets its first answer and changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from caller import API_KEY, Caller, make_server
from workertown_kv import Storage, User
from workertown_kv.operations import List
from workertown_kv.storage import Capability
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio

ONCE = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


def sent(answer: httpx2.Response) -> tuple[int, bytes, dict[str, str]]:
    return answer.status_code, answer.content, dict(answer.headers)


async def twice(call: Caller, method: str, url: str, **given: Any) -> httpx2.Response:
    """Send a request twice, and expect the same answer."""
    headers = {**ONCE, "X-Request-Id": "1", **given.pop("headers", {})}
    first = await call(method, url, headers=headers, **given)
    again = await call(method, url, headers=headers, **given)
    assert sent(again) == sent(first)
    return first


async def test_a_repeated_increment_counts_once(call: Caller) -> None:
    first = await twice(call, "PATCH", "/v1/kv/n", json={"increment": 1})
    assert (first.status_code, first.json()["data"]) == (200, 1)
    got = await call("GET", "/v1/kv/n")
    assert (got.json()["data"], got.headers["etag"]) == (1, first.headers["etag"])
    other = {"Idempotency-Key": "other"}
    second = await call("PATCH", "/v1/kv/n", json={"increment": 1}, headers=other)
    assert second.json()["data"] == 2
    again = await call("PATCH", "/v1/kv/n", json={"increment": 1}, headers=ONCE)
    assert again.json()["data"] == 1  # the first answer, whatever came later


async def test_a_repeated_touch_and_patch_answer_again(call: Caller) -> None:
    put = await call.put("a", {"n": 1})
    touch = await twice(call, "PATCH", "/v1/kv/a", json={"ttl": 60})
    assert touch.headers["etag"] == put.headers["etag"]
    headers = {
        "Idempotency-Key": "x",
        "If-Match": put.headers["etag"],
        "Content-Type": "application/merge-patch+json",
    }
    answers = [
        await call("PATCH", "/v1/kv/a", content=b'{"m": 2}', headers=headers) for _ in range(2)
    ]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].headers["etag"] == answers[1].headers["etag"] != put.headers["etag"]


async def test_a_repeated_take_gets_the_value_again(call: Caller) -> None:
    await call.put("a", "job")
    taken = await twice(call, "DELETE", "/v1/kv/a?take=true")
    assert taken.json()["data"] == "job"
    await call.put("a", "next job")
    again = await call("DELETE", "/v1/kv/a?take=true", headers=ONCE)
    assert again.json()["data"] == "job"
    assert await call.data("GET", "/v1/kv/a") == "next job"


@pytest.mark.parametrize("atomic", [False, True])
async def test_a_repeated_batch_is_done_once(call: Caller, atomic: bool) -> None:
    operations = [
        {"op": "increment", "key": "n", "by": 1},
        {"op": "set", "key": "a", "value": 1, "if_version": None},
        {"op": "get", "key": "n"},
    ]
    batch = {"operations": operations, "atomic": atomic}
    first = await twice(call, "POST", "/v1/kv", json=batch)
    results = first.json()["data"]
    assert [one.get("value") for one in results] == [1, None, 1]
    assert (await call("GET", "/v1/kv/a")).headers["etag"] == f'"{results[1]["version"]}"'


async def test_a_batch_whose_operations_fail_is_kept_too(call: Caller) -> None:
    operations = [
        {"op": "increment", "key": "n", "by": 1},
        {"op": "take", "key": "absent"},
    ]
    first = await twice(call, "POST", "/v1/kv", json={"operations": operations})
    assert [one.get("status") for one in first.json()["data"]] == [None, 404]
    assert await call.data("GET", "/v1/kv/n") == 1
    assert (await twice(call, "POST", "/v1/kv", json={"operations": []})).status_code == 422


async def test_a_request_that_changed_nothing_may_be_tried_again(call: Caller) -> None:
    refused = await call("PATCH", "/v1/kv/a", json={"ttl": 60}, headers=ONCE)
    assert refused.status_code == 404
    await call.put("a", 1)
    assert (await call("PATCH", "/v1/kv/a", json={"ttl": 60}, headers=ONCE)).status_code == 200
    wrong = {"operations": [{"op": "take", "key": "a", "if_version": "x"}], "atomic": True}
    for _ in range(2):
        key = {"Idempotency-Key": "b"}
        assert (await call("POST", "/v1/kv", json=wrong, headers=key)).status_code == 409


async def test_another_request_with_the_same_key_is_refused(call: Caller) -> None:
    await call("PATCH", "/v1/kv/n", json={"increment": 1}, headers=ONCE)
    others: list[tuple[str, dict[str, Any]]] = [
        ("/v1/kv/n", {"json": {"increment": 2}}),
        ("/v1/kv/m", {"json": {"increment": 1}}),
        ("/v1/kv/n?precise=true", {"json": {"increment": 1}}),
    ]
    for url, given in others:
        answer = await call("PATCH", url, headers=ONCE, **given)
        assert answer.status_code == 422, url
        assert "belongs to another request" in answer.json()["error"]
    headers = ONCE | {"Prefer": "return=minimal"}
    answer = await call("PATCH", "/v1/kv/n", json={"increment": 1}, headers=headers)
    assert answer.status_code == 422
    assert await call.data("GET", "/v1/kv/n") == 1


async def test_the_same_key_in_another_namespace_is_refused(call: Caller) -> None:
    await call.data("POST", "/admin/namespaces", json={"title": "other"})
    batch = {"operations": [{"op": "increment", "key": "n", "by": 1}]}
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", "/v1/kv/n", {"json": {"increment": 1}}),
        ("POST", "/v1/kv", {"json": batch}),
        ("DELETE", "/v1/kv/n?take=true", {}),
    ]
    for method, url, given in requests:
        await call.put("n", 1)
        headers = {"Idempotency-Key": method}
        assert (await call(method, url, headers=headers, **given)).status_code == 200
        headers["X-KV-Namespace"] = "other"
        answer = await call(method, url, headers=headers, **given)
        assert answer.status_code == 422, method
    assert (await call("GET", "/v1/kv/n?namespace=other")).status_code == 404


async def test_an_answer_is_kept_for_ten_minutes(call: Caller, clock: MovedClock) -> None:
    for moved, wanted in ((0, 1), (599, 1), (1, 2)):
        clock.move(moved)
        answer = await call("PATCH", "/v1/kv/n", json={"increment": 1}, headers=ONCE)
        assert answer.json()["data"] == wanted


async def test_repetitions_at_the_same_time_are_done_once(call: Caller) -> None:
    answers = await asyncio.gather(
        *(call("PATCH", "/v1/kv/n", json={"increment": 1}, headers=ONCE) for _ in range(20))
    )
    assert {sent(one)[:2] for one in answers} == {sent(answers[0])[:2]}
    assert await call.data("GET", "/v1/kv/n") == 1


@pytest.mark.parametrize("key", ["", "x" * 65, "é", "a\tb"])
async def test_a_wrong_key_is_refused(call: Caller, key: str) -> None:
    fields = {b"Authorization": f"Bearer {API_KEY}".encode(), b"Idempotency-Key": key.encode()}
    answer = await call.server.request("PATCH", "/v1/kv/n", json={"increment": 1}, headers=fields)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == ["idempotency-key"]


async def test_requests_that_are_idempotent_ignore_the_key(call: Caller) -> None:
    for value in (1, 2):
        put = await call("PUT", "/v1/kv/a", json={"value": value}, headers=ONCE)
        assert put.json()["data"] == value
    for _ in range(2):
        assert (await call("DELETE", "/v1/kv/a", headers=ONCE)).json()["data"] is True


async def test_each_user_has_keys_of_their_own() -> None:
    def hook(request: Any, user: User | None) -> User:
        return User(id=request.headers["x-user"], strategy="test")

    server = make_server(MemoryStorage(), auth={"authenticate_request": hook})
    async with server:
        for user, wanted in (("ada", 1), ("bob", 2), ("ada", 1)):
            fields = ONCE | {"X-User": user}
            answer = await server.request(
                "PATCH", "/v1/kv/n", json={"increment": 1}, headers=fields
            )
            assert answer.json()["data"] == wanted


async def test_kept_answers_are_in_no_listing_and_can_be_neither_read_nor_deleted(
    call: Caller,
) -> None:
    await call("PATCH", "/v1/kv/n", json={"increment": 1}, headers=ONCE)
    storage = call.server.runtime.storage
    page = await storage.list(List("workertown-kv", "", 10))
    assert len(page.keys) == 1
    key = page.keys[0].key
    assert [one["key"] for one in (await call.data("GET", "/v1/kv"))["keys"]] == ["n"]
    for method in ("GET", "DELETE"):
        answer = await call(method, f"/v1/kv?key={key}&namespace=workertown-kv")
        assert answer.status_code == 404
        assert "no namespace" in answer.json()["error"]
    assert len((await storage.list(List("workertown-kv", "", 10))).keys) == 1


async def test_a_storage_without_atomic_batches_refuses_the_key() -> None:
    class Lacking(MemoryStorage):
        lacks = {Capability.ATOMIC_BATCHES: "It is a test."}  # noqa: RUF012  (as storages declare it)

    async with make_server(Lacking()) as server:
        call = Caller(server)
        answer = await call("PATCH", "/v1/kv/n", json={"increment": 1}, headers=ONCE)
        assert answer.status_code == 501
        assert "atomic batches" in answer.json()["error"]
        assert (await call("GET", "/v1/kv/n")).status_code == 404


@pytest.fixture
async def sqlite_call(tmp_path: Path) -> AsyncIterator[Caller]:
    storage: Storage = SqliteStorage(tmp_path / "kv")
    async with make_server(storage, cache={"ttl": 60}) as server:
        yield Caller(server)


async def test_a_read_cache_changes_nothing_of_it(sqlite_call: Caller) -> None:
    first = await twice(sqlite_call, "PATCH", "/v1/kv/n", json={"increment": 1})
    assert first.json()["data"] == 1
    assert await sqlite_call.data("GET", "/v1/kv/n") == 1
