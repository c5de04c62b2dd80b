"""Test listings and batches over HTTP."""

from urllib.parse import quote

import pytest

from caller import Caller, make_server, on_one_storage
from workertown_kv.operations import Set
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock
from workertown_kv.testing.strategies import ODD_KEYS

pytestmark = pytest.mark.anyio


async def test_an_empty_store_lists_no_keys(call: Caller) -> None:
    listed = await call.data("GET", "/v1/kv")
    assert listed == {"keys": [], "cursor": None, "complete": True}


async def test_keys_are_listed_with_what_is_known_of_them(call: Caller) -> None:
    plain = await call.put("a", 1)
    rich = await call.put("b", 1, ttl=10, metadata={"é": [1]})
    assert (await call.data("GET", "/v1/kv"))["keys"] == [
        {"key": "a", "version": plain.headers["etag"].strip('"')},
        {
            "key": "b",
            "version": rich.headers["etag"].strip('"'),
            "expires_at": 1_800_000_010,
            "metadata": {"é": [1]},
        },
    ]


async def test_a_listing_is_followed_by_its_cursor(call: Caller) -> None:
    for key in ODD_KEYS:
        await call.data("PUT", f"/v1/kv?key={quote(key, safe='')}", json={"value": 1})
    keys: list[str] = []
    url = "/v1/kv?limit=3"
    while True:
        page = await call.data("GET", url)
        assert page["complete"] is (page["cursor"] is None)
        assert len(page["keys"]) <= 3
        keys += [one["key"] for one in page["keys"]]
        if page["complete"]:
            break
        assert quote(page["cursor"]) == page["cursor"], "a cursor needs no escaping"
        url = f"/v1/kv?limit=3&cursor={page['cursor']}"
    assert keys == sorted(ODD_KEYS, key=str.encode)


async def test_a_prefix_may_hold_any_character(call: Caller) -> None:
    for key in ("a/b", "a/b/c", "a/", "a", "a%2Fb", "b"):
        await call.data("PUT", f"/v1/kv?key={quote(key, safe='')}", json={"value": 1})
    listed = await call.data("GET", "/v1/kv?prefix=a%2F")
    assert [one["key"] for one in listed["keys"]] == ["a/", "a/b", "a/b/c"]


async def test_a_page_has_a_thousand_keys_by_default(call: Caller) -> None:
    sets = [{"op": "set", "key": f"{i:04}", "value": i} for i in range(1000)]
    await call.data("POST", "/v1/kv", json={"operations": sets})
    await call.put("one more", 1)
    first = await call.data("GET", "/v1/kv")
    assert len(first["keys"]) == 1000
    rest = await call.data("GET", f"/v1/kv?cursor={first['cursor']}&limit=1000")
    assert [one["key"] for one in rest["keys"]] == ["one more"]


@on_one_storage
@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.5", "limit"),
        ("limit=", "limit"),
        ("limit=ten", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limt=1", "limt"),
        ("cursor=%20", "cursor"),
        ("cursor=_w", "cursor"),
        ("cursor=%C3%A9", "cursor"),
        ("prefix=%ff", "prefix"),
        ("key=a&prefix=b", "key"),
    ],
)
async def test_a_wrong_parameter_is_named(call: Caller, query: str, name: str) -> None:
    answer = await call("GET", f"/v1/kv?{query}")
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["location"], error["path"]) == ("query", [name])
    assert "Expected" in error["message"]


async def test_a_cursor_of_another_prefix_is_400(call: Caller) -> None:
    for key in ("a1", "a2", "b1"):
        await call.put(key, 1)
    cursor = (await call.data("GET", "/v1/kv?prefix=a&limit=1"))["cursor"]
    assert (await call("GET", f"/v1/kv?prefix=b&cursor={cursor}")).status_code == 400


async def test_head_of_a_listing_has_no_body(call: Caller) -> None:
    head = await call("HEAD", "/v1/kv")
    assert (head.status_code, head.content) == (200, b"")


async def test_a_key_parameter_inside_another_is_not_a_key(call: Caller) -> None:
    await call.put("key=1", 1)
    listed = await call.data("GET", "/v1/kv?prefix=key=")
    assert [one["key"] for one in listed["keys"]] == ["key=1"]


# Batches


async def test_a_batch_gives_one_result_for_each_operation(call: Caller) -> None:
    tag = (await call.put("a", {"b": 1}, ttl=9, metadata={"c": 2})).headers["etag"].strip('"')
    results = await call.data(
        "POST",
        "/v1/kv",
        json={
            "operations": [
                {"op": "get", "key": "a"},
                {"op": "get", "key": "missing"},
                {"op": "set", "key": "n", "value": None, "ttl": 5, "metadata": {"d": 1}},
                {"op": "get", "key": "n"},
                {"op": "delete", "key": "a"},
                {"op": "get", "key": "a"},
            ]
        },
    )
    version = results[2]["version"]
    assert results == [
        {
            "key": "a",
            "value": {"b": 1},
            "version": tag,
            "expires_at": 1_800_000_009,
            "metadata": {"c": 2},
        },
        {"key": "missing", "value": None, "version": None},
        {"key": "n", "version": version},
        {
            "key": "n",
            "value": None,
            "version": version,
            "expires_at": 1_800_000_005,
            "metadata": {"d": 1},
        },
        {"key": "a"},
        {"key": "a", "value": None, "version": None},
    ]


async def test_an_operation_that_fails_carries_its_error(call: Caller) -> None:
    await call.put("a", 1)
    results = await call.data(
        "POST",
        "/v1/kv",
        json={
            "operations": [
                {"op": "set", "key": "a", "value": 2, "if_version": None},
                {"op": "set", "key": "b", "value": 2, "if_version": None},
                {"op": "delete", "key": "a", "if_version": "other"},
                {"op": "get", "key": "a", "if_version": "other"},
            ]
        },
    )
    failed = {"key": "a", "status": 412, "error": "Precondition failed"}
    assert [results[0], results[2], results[3]] == [failed] * 3
    assert await call.data("GET", "/v1/kv/a") == 1
    assert await call.data("GET", "/v1/kv/b") == 2


async def test_an_atomic_batch_is_all_or_409(call: Caller) -> None:
    tag = (await call.put("a", 1)).headers["etag"].strip('"')
    operations: list[dict[str, object]] = [
        {"op": "set", "key": "b", "value": 2},
        {"op": "set", "key": "a", "value": 2, "if_version": "other"},
        {"op": "delete", "key": "a", "if_version": tag},
        {"op": "set", "key": "c", "value": 2, "if_version": "x"},
    ]
    answer = await call("POST", "/v1/kv", json={"operations": operations, "atomic": True})
    assert answer.status_code == 409
    assert [one["path"] for one in answer.json()["errors"]] == [
        ["operations", 1],
        ["operations", 3],
    ]
    assert (await call("GET", "/v1/kv/b")).status_code == 404
    assert await call.data("GET", "/v1/kv/a") == 1
    kept = {"operations": [operations[0], operations[2]], "atomic": True}
    assert len(await call.data("POST", "/v1/kv", json=kept)) == 2
    assert (await call("GET", "/v1/kv/a")).status_code == 404
    assert await call.data("GET", "/v1/kv/b") == 2


@on_one_storage
@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ({"op": "get"}, ["key"]),
        ({"op": "get", "key": 1}, ["key"]),
        ({"op": "get", "key": "a", "value": 1}, ["value"]),
        ({"op": "set", "key": "a"}, ["value"]),
        ({"op": "set", "key": "a", "value": 1, "ttl": 0}, ["ttl"]),
        ({"op": "set", "key": "a", "value": 1, "ttl": "x"}, ["ttl"]),
        ({"op": "set", "key": "a", "value": 1, "expires_at": 1}, ["expires_at"]),
        ({"op": "set", "key": "a", "value": 1, "metadata": []}, ["metadata"]),
        ({"op": "set", "key": "a", "value": 1, "if_version": 7}, ["if_version"]),
        ({"op": "put", "key": "a"}, ["op"]),
        ({"key": "a"}, ["op"]),
        ({"op": "delete", "key": ""}, ["key"]),
        ("get", []),
    ],
)
async def test_a_malformed_operation_refuses_the_whole_batch(
    call: Caller, operation: object, path: list[str]
) -> None:
    good = {"op": "set", "key": "good", "value": 1}
    answer = await call("POST", "/v1/kv", json={"operations": [good, operation]})
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["path"] == ["operations", 1, *path]
    assert (await call("GET", "/v1/kv/good")).status_code == 404


async def test_a_batch_has_limits(clock: MovedClock) -> None:
    limits = {"batch_operations": 3, "batch_bytes": 1000, "value_bytes": 400, "key_bytes": 10}
    call = Caller(make_server(MemoryStorage(clock=clock), limits=limits))

    async def status(*operations: dict[str, object]) -> int:
        answer = await call("POST", "/v1/kv", json={"operations": operations})
        return answer.status_code

    get: dict[str, object] = {"op": "get", "key": "a"}
    assert await status(get, get, get) == 200
    assert await status(get, get, get, get) == 400
    assert await status({"op": "set", "key": "a", "value": "x" * 398}) == 200
    assert await status({"op": "set", "key": "a", "value": "x" * 399}) == 413
    assert await status({"op": "set", "key": "a" * 11, "value": 1}) == 414
    assert await status({"op": "set", "key": "a", "value": " " * 2000}) == 413
    results = await call.data("POST", "/v1/kv", json={"operations": [get, get, get]})
    assert [one.get("status") for one in results] == [None, None, 413]


@pytest.mark.parametrize(
    ("field", "patch"),
    [
        ("merge", {"a": "x" * 993}),
        # This is not even a JSON Patch: the server checks the size first.
        ("json_patch", ["x" * 997]),
    ],
)
async def test_a_patch_in_a_batch_has_a_limit(
    clock: MovedClock, field: str, patch: dict[str, str] | list[str]
) -> None:
    call = Caller(make_server(MemoryStorage(clock=clock), limits={"patch_bytes": 1000}))
    operations = [
        {"op": "set", "key": "a", "value": {}},
        {"op": "patch", "key": "a", field: patch},
    ]
    answer = await call("POST", "/v1/kv", json={"operations": operations})
    assert answer.status_code == 413
    (detail,) = answer.json()["errors"]
    assert detail["path"] == ["operations", 1, field]
    assert detail["message"] == "The patch has 1,001 bytes; at most 1,000 are allowed"
    assert (await call("GET", "/v1/kv/a")).status_code == 404


async def test_a_patch_in_a_batch_may_reach_its_limit(clock: MovedClock) -> None:
    call = Caller(make_server(MemoryStorage(clock=clock), limits={"patch_bytes": 1000}))
    await call.put("a", {})
    operations = [{"op": "patch", "key": "a", "merge": {"a": "x" * 992}}]
    (result,) = await call.data("POST", "/v1/kv", json={"operations": operations})
    assert len(result["value"]["a"]) == 992


async def test_patches_past_the_limit_of_a_batch_change_nothing(clock: MovedClock) -> None:
    limits = {"batch_bytes": 5000, "value_bytes": 4000, "patch_bytes": 4000}
    call = Caller(make_server(MemoryStorage(clock=clock), limits=limits))
    steps = [{"op": "copy", "from": "/0", "path": "/-"}] * 9
    operations: list[dict[str, object]] = []
    for key in "abc":
        operations.append({"op": "set", "key": key, "value": ["x" * 200]})
        operations.append({"op": "patch", "key": key, "json_patch": steps})
    body = {"operations": operations, "atomic": True}
    assert (await call("POST", "/v1/kv", json=body)).status_code == 413
    assert (await call("GET", "/v1/kv/a")).status_code == 404
    results = await call.data("POST", "/v1/kv", json={"operations": operations})
    assert [one.get("status") for one in results] == [None, None, None, None, None, 413]
    assert [len(await call.data("GET", f"/v1/kv/{key}")) for key in "abc"] == [10, 10, 1]


async def test_a_batch_gives_a_value_that_is_not_json_as_base64(clock: MovedClock) -> None:
    storage = MemoryStorage(clock=clock)
    await storage.set(Set(namespace="default", key="a", value=b"\xff", is_json=False))
    call = Caller(make_server(storage))
    [result] = await call.data("POST", "/v1/kv", json={"operations": [{"op": "get", "key": "a"}]})
    assert result.keys() == {"key", "base64", "version"}
    assert result["base64"] == "/w=="


async def test_an_empty_batch_does_nothing(call: Caller) -> None:
    assert await call.data("POST", "/v1/kv", json={"operations": []}) == []
