"""Test patches, increments, touches, takes and bytes in batches, and precise expiries."""

import base64
from typing import Any

import pytest

from caller import Caller, on_one_storage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio


async def batch(call: Caller, *operations: dict[str, Any], **more: Any) -> Any:
    return await call.data("POST", "/v1/kv", json={"operations": operations, **more})


@pytest.mark.parametrize("atomic", [False, True])
async def test_a_batch_may_change_parts(call: Caller, clock: MovedClock, atomic: bool) -> None:
    put = await call.put("doc", {"a": 1, "b": 2}, metadata={"m": 1})
    results = await batch(
        call,
        {"op": "patch", "key": "doc", "merge": {"a": None, "c": 3}},
        {
            "op": "patch",
            "key": "doc",
            "json_patch": [{"op": "add", "path": "/d", "value": [4]}],
        },
        {"op": "increment", "key": "n", "by": 2, "initial": 10, "ttl": 60},
        {"op": "increment", "key": "n", "by": 0.5},
        {"op": "touch", "key": "doc", "ttl": 5},
        {"op": "touch", "key": "n", "metadata": {"x": 1}, "expires_at": None},
        {"op": "take", "key": "n"},
        atomic=atomic,
    )
    values = [one.get("value") for one in results]
    assert values == [{"b": 2, "c": 3}, {"b": 2, "c": 3, "d": [4]}, 12, 12.5, None, None, 12.5]
    versions = [one["version"] for one in results]
    assert f'"{versions[0]}"' != put.headers["etag"]
    assert versions[4] == versions[1]
    assert versions[6] == versions[5] != versions[3]
    assert results[4].keys() == {"key", "version"}
    assert results[6]["metadata"] == {"x": 1}
    got = await call("GET", "/v1/kv/doc")
    assert got.headers["etag"] == f'"{versions[1]}"'
    assert got.headers["x-kv-metadata"] == '{"m":1}'
    clock.move(5)
    assert (await call("GET", "/v1/kv/doc")).status_code == 404
    assert (await call("GET", "/v1/kv/n")).status_code == 404


async def test_each_change_of_a_batch_fails_by_itself(call: Caller) -> None:
    await call.put("text", "t")
    results = await batch(
        call,
        {"op": "increment", "key": "text", "by": 1},
        {"op": "patch", "key": "absent", "merge": {}},
        {"op": "touch", "key": "absent", "ttl": 1},
        {"op": "take", "key": "absent"},
        {"op": "take", "key": "text", "if_version": "other"},
        {"op": "increment", "key": "text", "by": 1, "if_version": None},
        {"op": "touch", "key": "text", "ttl": 1, "if_version": "other"},
        {"op": "increment", "key": "n", "by": 1, "if_version": None},
    )
    assert [one.get("status") for one in results] == [409, 404, 404, 404, 412, 412, 412, None]
    assert results[-1]["value"] == 1
    assert await call.data("GET", "/v1/kv/text") == "t"


async def test_an_atomic_batch_with_a_change_that_fails_changes_nothing(call: Caller) -> None:
    await call.put("n", 1)
    operations: list[dict[str, Any]] = [
        {"op": "increment", "key": "n", "by": 1},
        {"op": "increment", "key": "n", "by": 1, "if_version": "other"},
    ]
    answer = await call("POST", "/v1/kv", json={"operations": operations, "atomic": True})
    assert answer.status_code == 409
    assert [one["path"] for one in answer.json()["errors"]] == [["operations", 1]]
    changes: list[dict[str, Any]] = [
        {"op": "take", "key": "absent"},
        {"op": "touch", "key": "absent", "ttl": 60},
        {"op": "touch", "key": "absent", "metadata": {}},
    ]
    for absent in changes:
        operations[1] = absent
        answer = await call("POST", "/v1/kv", json={"operations": operations, "atomic": True})
        assert answer.status_code == 404, absent
    assert await call.data("GET", "/v1/kv/n") == 1


async def test_bytes_are_base64_in_both_directions(call: Caller) -> None:
    text = base64.b64encode(b"\x00\xff").decode()
    results = await batch(
        call,
        {"op": "set", "key": "a", "base64": text, "metadata": {"type": "png"}},
        {"op": "set", "key": "json", "base64": base64.b64encode(b"1").decode()},
        {"op": "get", "key": "a"},
        {"op": "take", "key": "a"},
    )
    version = results[0]["version"]
    taken = {"key": "a", "base64": text, "version": version, "metadata": {"type": "png"}}
    assert results[2:] == [taken, taken]
    raw = await call("GET", "/v1/kv/json", headers={"Accept": "application/octet-stream"})
    assert raw.content == b"1"


@on_one_storage
@pytest.mark.parametrize(
    ("operation", "path", "message"),
    [
        ({"op": "set"}, ["value"], "Expected value, text or base64"),
        ({"op": "set", "value": 1, "base64": ""}, ["value"], "Expected value, text or base64"),
        ({"op": "set", "base64": "%"}, ["base64"], "Expected base64"),
        ({"op": "set", "base64": "é"}, ["base64"], "Expected base64"),
        ({"op": "set", "base64": 1}, ["base64"], "Expected base64 text"),
        ({"op": "patch"}, ["merge"], "Expected merge or json_patch"),
        ({"op": "patch", "merge": 1, "json_patch": []}, ["merge"], "Expected merge or"),
        ({"op": "patch", "json_patch": {}}, ["json_patch"], "Expected an array"),
        ({"op": "patch", "json_patch": [{}]}, ["json_patch", 0, "op"], "Required"),
        (
            {"op": "patch", "json_patch": [{"op": "add", "path": "x", "value": 1}]},
            ["json_patch", 0, "path"],
            "Expected a JSON Pointer",
        ),
        ({"op": "increment"}, ["by"], "Required"),
        ({"op": "increment", "by": "1"}, ["by"], "Expected a number"),
        ({"op": "increment", "by": 1, "min": None}, ["min"], "Expected a number"),
        ({"op": "touch"}, [], "Expected some of ttl, expires_at and metadata"),
        ({"op": "touch", "ttl": 0}, ["ttl"], "Expected a whole number"),
        ({"op": "take", "value": 1}, ["value"], "Unknown; expected op, key"),
        ({"op": "swap"}, ["op"], 'Expected "get", "set", "delete", "patch"'),
    ],
)
async def test_a_malformed_operation_is_refused(
    call: Caller, operation: dict[str, Any], path: list[str], message: str
) -> None:
    answer = await call("POST", "/v1/kv", json={"operations": [{"key": "a", **operation}]})
    assert answer.status_code == 400
    (detail,) = answer.json()["errors"]
    assert detail["path"] == ["operations", 0, *path]
    assert detail["message"].startswith(message), detail


async def test_expiries_are_precise_where_a_client_asks_for_it(
    call: Caller, clock: MovedClock
) -> None:
    at = int(clock()) + 10.25
    body = {"value": 1, "expires_at": at}
    refused = await call("PUT", "/v1/kv/a", json=body)
    assert refused.status_code == 400
    assert "precise=true" in refused.text
    assert (await call("PUT", "/v1/kv/a?precise=true", json=body)).status_code == 200
    got = await call("GET", "/v1/kv/a?precise=true")
    assert got.headers["x-kv-expires-at"] == repr(at)
    by_query = await call("GET", "/v1/kv?key=a&precise=true")
    assert by_query.headers["x-kv-expires-at"] == repr(at)
    assert "x-kv-expires-at" not in (await call("GET", "/v1/kv/a")).headers
    for query, shown in (("?precise=true", at), ("", int(at) + 1)):
        page = await call.data("GET", f"/v1/kv{query}")
        assert page["keys"][0]["expires_at"] == shown
        operations = [{"op": "get", "key": "a"}]
        (result,) = await call.data("POST", f"/v1/kv{query}", json={"operations": operations})
        assert result["expires_at"] == shown
    later = {"expires_at": at + 1}
    assert (await call("PATCH", "/v1/kv/a", json=later)).status_code == 400
    assert (await call("PATCH", "/v1/kv/a?precise=true", json=later)).status_code == 200
    touches: list[dict[str, Any]] = [{"op": "touch", "key": "a", "expires_at": at + 2}]
    batch = {"operations": touches}
    assert (await call("POST", "/v1/kv", json=batch)).status_code == 400
    assert (await call("POST", "/v1/kv?precise=true", json=batch)).status_code == 200
    got = await call("GET", "/v1/kv/a?precise=true")
    assert got.headers["x-kv-expires-at"] == repr(at + 2)
