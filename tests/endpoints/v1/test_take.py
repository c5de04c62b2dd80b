"""Test `DELETE …?take=true`, which removes a value and answers with it."""

import asyncio

import pytest

from caller import Caller
from workertown_kv.operations import Set
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio

RAW = {"Accept": "application/octet-stream"}


async def test_a_take_answers_with_the_value_that_it_removed(call: Caller) -> None:
    put = await call.put("a", {"n": 1}, metadata={"m": 1}, ttl=60)
    taken = await call("DELETE", "/v1/kv/a?take=true")
    assert (taken.status_code, taken.json()["data"]) == (200, {"n": 1})
    assert taken.headers["etag"] == put.headers["etag"]
    assert taken.headers["x-kv-metadata"] == '{"m":1}'
    assert (await call("GET", "/v1/kv/a")).status_code == 404
    assert (await call("DELETE", "/v1/kv/a?take=true")).status_code == 404


async def test_a_key_in_the_query_is_taken_too(call: Caller) -> None:
    await call("PUT", "/v1/kv?key=..", json={"value": 1})
    assert await call.data("DELETE", "/v1/kv?key=..&take=true") == 1
    assert (await call("GET", "/v1/kv?key=..")).status_code == 404


async def test_an_expired_value_cannot_be_taken(call: Caller, clock: MovedClock) -> None:
    await call.put("a", 1, ttl=1)
    clock.move(1)
    assert (await call("DELETE", "/v1/kv/a?take=true")).status_code == 404


async def test_bytes_stay_unless_they_are_accepted(call: Caller) -> None:
    storage = call.server.runtime.storage
    await storage.set(Set(namespace="default", key="a", value=b"\xff", is_json=False))
    refused = await call("DELETE", "/v1/kv/a?take=true")
    assert refused.status_code == 406
    assert "stays" in refused.json()["error"]
    taken = await call("DELETE", "/v1/kv/a?take=true", headers=RAW)
    assert (taken.status_code, taken.content) == (200, b"\xff")
    assert taken.headers["content-type"] == "application/octet-stream"
    assert (await call("HEAD", "/v1/kv/a", headers=RAW)).status_code == 404


async def test_a_take_may_have_preconditions(call: Caller) -> None:
    put = await call.put("a", 1)
    for headers in ({"If-Match": '"other"'}, {"If-None-Match": "*"}):
        refused = await call("DELETE", "/v1/kv/a?take=true", headers=headers)
        assert refused.status_code == 412
    headers = {"If-Match": put.headers["etag"]}
    assert (await call("DELETE", "/v1/kv/a?take=true", headers=headers)).status_code == 200
    absent = await call("DELETE", "/v1/kv/a?take=true", headers={"If-Match": "*"})
    assert absent.status_code == 412


async def test_a_plain_delete_answers_true(call: Caller) -> None:
    await call.put("a", 1)
    assert await call.data("DELETE", "/v1/kv/a?take=false") is True
    assert (await call("DELETE", "/v1/kv/a?take=1")).status_code == 400
    assert (await call("GET", "/v1/kv/a?take=true")).status_code == 400


async def test_each_value_is_taken_once(call: Caller) -> None:
    for i in range(50):
        await call.put(f"job{i}", i)

    async def take_all() -> list[int]:
        answers = [await call("DELETE", f"/v1/kv/job{i}?take=true") for i in range(50)]
        assert {one.status_code for one in answers} <= {200, 404}
        return [one.json()["data"] for one in answers if one.status_code == 200]

    taken = await asyncio.gather(*(take_all() for _ in range(8)))
    assert sorted(one for some in taken for one in some) == list(range(50))
