"""Test the guards of the operations in a batch, and values as text and bytes in it."""

from typing import Any

import pytest

from caller import Caller, make_server
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def call(clock: MovedClock) -> Caller:
    return Caller(make_server(MemoryStorage(clock=clock)))


async def results(call: Caller, *operations: Any, url: str = "/v1/kv", **more: Any) -> Any:
    return await call.data("POST", url, json={"operations": operations, **more})


async def test_a_guard_names_versions_as_the_header_fields_do(call: Caller) -> None:
    (made,) = await results(call, {"op": "set", "key": "a", "value": 1, "if_none_match": "*"})
    version = made["version"]
    for guard, holds in (
        ({"if_match": "*"}, True),
        ({"if_match": ["other", version]}, True),
        ({"if_match": ["other"]}, False),
        ({"if_match": []}, False),
        ({"if_none_match": "*"}, False),
        ({"if_none_match": ["other"]}, True),
        ({"if_none_match": ["other", version]}, False),
        ({"if_version": version}, True),
        ({"if_version": None}, False),
    ):
        for operation in ("get", "touch"):
            more = {"expires_at": None} if operation == "touch" else {}
            (result,) = await results(call, {"op": operation, "key": "a", **guard, **more})
            assert result.get("status", 200) == (200 if holds else 412), guard


async def test_a_guard_may_include_the_expiry(call: Caller, clock: MovedClock) -> None:
    expiry = clock() + 10.25
    operation = {"op": "set", "key": "a", "value": 1, "expires_at": expiry}
    (made,) = await results(call, operation, url="/v1/kv?precise=true")
    for guard, holds in (
        ({"if_match": "*", "if_expires_at": expiry}, True),
        ({"if_version": made["version"], "if_expires_at": expiry}, True),
        ({"if_match": [made["version"]], "if_expires_at": expiry + 1}, False),
        ({"if_match": "*", "if_expires_at": None}, False),
    ):
        (result,) = await results(call, {"op": "get", "key": "a", **guard})
        assert result.get("status", 200) == (200 if holds else 412), guard
    await results(call, {"op": "set", "key": "b", "value": 1})
    (result,) = await results(
        call, {"op": "get", "key": "b", "if_match": "*", "if_expires_at": None}
    )
    assert result["value"] == 1


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"if_version": "a", "if_match": "*"}, [], "only one of them"),
        ({"if_match": "a"}, ["if_match"], "an array of versions"),
        ({"if_expires_at": 5}, ["if_expires_at"], "with if_match or a version"),
        ({"if_version": None, "if_expires_at": 5}, ["if_expires_at"], "with if_match"),
        ({"if_none_match": "*", "if_expires_at": 5}, ["if_expires_at"], "with if_match"),
        ({"if_match": "*", "if_expires_at": "x"}, ["if_expires_at"], "Unix seconds"),
    ],
)
async def test_a_guard_that_makes_no_sense_is_refused(
    call: Caller, fields: Any, path: list[str], message: str
) -> None:
    body = {"operations": [{"op": "get", "key": "a", **fields}]}
    answer = await call("POST", "/v1/kv", json=body)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["path"] == ["operations", 0, *path]
    assert message in error["message"]


async def test_text_keeps_the_white_space_around_json(call: Caller) -> None:
    await results(call, {"op": "set", "key": "a", "text": " [1,\n 2] "})
    for url, field in (
        ("/v1/kv?precise=true", {"text": " [1,\n 2] "}),
        ("/v1/kv", {"value": [1, 2]}),
    ):
        (result,) = await results(call, {"op": "get", "key": "a"}, url=url)
        listed = await call.data("GET", f"/v1/kv{url[6:] or '?'}&values=true")
        for shown in (result, listed["keys"][0]):
            assert {name: shown[name] for name in ("text", "value") if name in shown} == field


@pytest.mark.parametrize("text", ["", "[", "nul", "[" * 600 + "]" * 600])
async def test_text_that_is_not_json_is_refused(call: Caller, text: str) -> None:
    body = {"operations": [{"op": "set", "key": "a", "text": text}]}
    answer = await call("POST", "/v1/kv", json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == ["operations", 0, "text"]


async def test_a_take_of_json_leaves_bytes(call: Caller) -> None:
    await results(call, {"op": "set", "key": "a", "base64": "/w=="})
    (refused,) = await results(call, {"op": "take", "key": "a", "json": True})
    assert refused["status"] == 406
    (taken,) = await results(call, {"op": "take", "key": "a"})
    assert taken["base64"] == "/w=="


async def test_a_batch_may_lower_the_limit_of_what_it_reads(call: Caller) -> None:
    gets = [{"op": "get", "key": key} for key in "ab"]
    for key in "ab":
        await call.put(key, "x" * 98)
    first, second = await results(call, *gets, read_bytes=150)
    assert (first["value"], second["status"]) == ("x" * 98, 413)
    answer = await call("POST", "/v1/kv", json={"operations": gets, "read_bytes": -1})
    assert answer.status_code == 400


async def test_a_listing_shows_keys_within_prefixes_and_values_up_to_a_limit(call: Caller) -> None:
    for key in ("a/1", "a/2", "b/1", "c"):
        await call.put(key, "x" * 98)
    page = await call.data("GET", "/v1/kv?within=c&within=a/&within=a/2")
    assert [one["key"] for one in page["keys"]] == ["a/1", "a/2", "c"]
    page = await call.data("GET", "/v1/kv?values=true&read_bytes=250")
    assert ([one["key"] for one in page["keys"]], page["complete"]) == (["a/1", "a/2"], False)
    for query in ("read_bytes=x", "key=c&within=c"):
        assert (await call("GET", f"/v1/kv?{query}")).status_code == 400


async def test_a_deletion_may_have_a_lower_limit(call: Caller) -> None:
    for number in range(3):
        await call.put(f"a/{number}", 1)
    deleted = await call.data("DELETE", "/v1/kv?prefix=a/&limit=2")
    assert (deleted["deleted"], deleted["complete"]) == (2, False)
    page = await call.data("GET", "/v1/kv?prefix=a/")
    assert [one["key"] for one in page["keys"]] == ["a/2"]


async def test_a_store_describes_itself(call: Caller, clock: MovedClock) -> None:
    about = await call.data("GET", "/v1/kv?about=true")
    assert about["lacks"] == {}
    assert about["now"] == clock()
    assert about["limits"]["value_bytes"] == 25 * 1024 * 1024
    assert (await call("GET", "/v1/kv?about=false")).status_code == 400
    silent = Caller(make_server(MemoryStorage(), changes=False))
    assert (await silent.data("GET", "/v1/kv?about=true"))["lacks"].keys() == {"changes"}
    assert (
        await silent("GET", "/v1/kv?about=true", headers={"Authorization": ""})
    ).status_code == 401


async def test_changes_may_have_precise_expiries(call: Caller, clock: MovedClock) -> None:
    cursor = (await call.data("GET", "/v1/changes"))["cursor"]
    operation = {"op": "set", "key": "a", "value": 1, "expires_at": clock() + 5.25}
    await results(call, operation, url="/v1/kv?precise=true")
    for query, expiry in (("", clock() + 6), ("&precise=true", clock() + 5.25)):
        page = await call.data("GET", f"/v1/changes?since={cursor}{query}")
        assert page["changes"][0]["expires_at"] == expiry
