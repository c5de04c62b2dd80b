"""Test `PATCH` over HTTP: merge patches, JSON Patch, increments, lifetimes and metadata."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from caller import Caller, make_server, on_one_storage
from workertown_kv import Storage, updates
from workertown_kv.operations import Set
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio

MERGE = {"Content-Type": "application/merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def call(storage: Storage) -> AsyncIterator[Caller]:
    limits = {"value_bytes": 4_000_000, "patch_bytes": 100_000, "batch_bytes": 4_000_000}
    async with make_server(storage, limits=limits) as server:
        yield Caller(server)


async def patched(
    call: Caller, body: object, headers: dict[str, str] = JSON, key: str = "a"
) -> httpx2.Response:
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return await call("PATCH", f"/v1/kv/{key}", content=text, headers=headers)


async def text_of(call: Caller, key: str = "a") -> str:
    raw = {"Accept": "application/octet-stream"}
    return (await call("GET", f"/v1/kv/{key}", headers=raw)).text


async def write(call: Caller, value: str, key: str = "a", **fields: object) -> httpx2.Response:
    more = "".join(f', "{name}": {json.dumps(one)}' for name, one in fields.items())
    put = await call("PUT", f"/v1/kv/{key}", content=f'{{"value": {value}{more}}}', headers=JSON)
    assert put.status_code == 200, put.text
    return put


# RFC 7396, appendix A.
@pytest.mark.parametrize(
    ("value", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, '"bar"', "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
async def test_a_merge_patch_makes_what_the_rfc_says(
    call: Caller, value: Any, patch: Any, result: Any
) -> None:
    await write(call, json.dumps(value))
    answer = await patched(call, patch, MERGE)
    assert (answer.status_code, answer.json()["data"]) == (200, result)
    got = await call("GET", "/v1/kv/a")
    assert got.json()["data"] == result
    assert got.headers["etag"] == answer.headers["etag"]


async def test_a_merge_patch_keeps_the_text_of_numbers(call: Caller) -> None:
    await write(
        call, '{"big":12345678901234567890123, "f": 1.10, "e":1E400, "z":-0, "s":"é\\u00e9"}'
    )
    answer = await patched(call, '{"new": 0.10, "f2": 100000000000000000000.0}', MERGE)
    assert answer.status_code == 200
    assert await text_of(call) == (
        '{"big":12345678901234567890123,"f":1.10,"e":1E400,"z":-0,"s":"éé","new":0.10,'
        '"f2":100000000000000000000.0}'
    )


# RFC 6902, appendix A, and what follows from section 4.
@pytest.mark.parametrize(
    ("value", "patch", "result"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "q"}], {"foo": "bar", "baz": "q"}),
        ({"foo": [1, 2]}, [{"op": "add", "path": "/foo/1", "value": 9}], {"foo": [1, 9, 2]}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
        ({"foo": [1, 9, 2]}, [{"op": "remove", "path": "/foo/1"}], {"foo": [1, 2]}),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": None}], {"a": None}),
        (
            {"foo": {"a": 1}, "q": {}},
            [{"op": "move", "from": "/foo/a", "path": "/q/b"}],
            {"foo": {}, "q": {"b": 1}},
        ),
        ([1, 2, 3], [{"op": "move", "from": "/0", "path": "/2"}], [2, 3, 1]),
        (
            {"a": {"b": 1}},
            [{"op": "copy", "from": "/a", "path": "/c"}],
            {"a": {"b": 1}, "c": {"b": 1}},
        ),
        (
            {"a": {"b": [1]}},
            [
                {"op": "copy", "from": "/a", "path": "/c"},
                {"op": "add", "path": "/c/b/-", "value": 2},
            ],
            {"a": {"b": [1]}, "c": {"b": [1, 2]}},
        ),
        (
            {"a/b": {"m~n": 1}},
            [{"op": "replace", "path": "/a~1b/m~0n", "value": 2}],
            {"a/b": {"m~n": 2}},
        ),
        ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1.0}], {"a": 1}),
        ({"a": 1}, [{"op": "add", "path": "", "value": [1]}], [1]),
        ({"a": 1}, [{"op": "add", "path": "/b", "value": 1, "extra": 2}], {"a": 1, "b": 1}),
        ({"a": 1}, [], {"a": 1}),
    ],
)
async def test_a_json_patch_makes_what_the_rfc_says(
    call: Caller, value: Any, patch: Any, result: Any
) -> None:
    await write(call, json.dumps(value))
    answer = await patched(call, patch, JSON_PATCH)
    assert (answer.status_code, answer.json().get("data")) == (200, result), answer.text


async def test_a_json_patch_may_have_white_space_around_it(call: Caller) -> None:
    await write(call, "{}")
    text = ' \r\n\t[ {"op": "add", "path": "/a", "value": 1} ]\n'
    answer = await patched(call, text, JSON_PATCH)
    assert (answer.status_code, answer.json().get("data")) == (200, {"a": 1}), answer.text


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/a", "value": "1"},
        {"op": "test", "path": "/missing", "value": 1},
        {"op": "remove", "path": "/missing"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "add", "path": "/missing/deeper", "value": 1},
        {"op": "add", "path": "/a/deeper", "value": 1},
        {"op": "add", "path": "/s/deeper", "value": 1},
        {"op": "add", "path": "/s/0", "value": 1},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "add", "path": "/list/x", "value": 1},
        {"op": "replace", "path": "/list/-", "value": 1},
        {"op": "remove", "path": "/list/-"},
        {"op": "move", "from": "/missing", "path": "/b"},
        {"op": "move", "from": "/o", "path": "/o/inside"},
        {"op": "copy", "from": "/missing", "path": "/b"},
        {"op": "copy", "from": "/list/-", "path": "/b"},
    ],
)
async def test_a_json_patch_that_cannot_be_done_changes_nothing(
    call: Caller, operation: dict[str, Any]
) -> None:
    put = await write(call, '{"a":1,"s":"text","list":[1],"o":{"p":1}}')
    first = {"op": "add", "path": "/first", "value": 1}
    answer = await patched(call, [first, operation], JSON_PATCH)
    assert answer.status_code == 409, answer.text
    assert answer.json()["error"].startswith("Operation 1 cannot be done: ")
    got = await call("GET", "/v1/kv/a")
    assert got.headers["etag"] == put.headers["etag"]


@on_one_storage
@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({"op": "add"}, [], "Expected an array such as"),
        ([1], [0], "Expected a JSON object"),
        ([{"path": "/a"}], [0, "op"], "Required"),
        ([{"op": "multiply", "path": "/a"}], [0, "op"], 'Expected "add", "remove"'),
        ([{"op": "add", "value": 1}], [0, "path"], "Required"),
        ([{"op": "add", "path": "/a"}], [0, "value"], "Required"),
        ([{"op": "add", "path": 1, "value": 1}], [0, "path"], "Expected a JSON Pointer"),
        ([{"op": "add", "path": "a", "value": 1}], [0, "path"], "Expected a JSON Pointer"),
        ([{"op": "remove", "path": "/~2"}], [0, "path"], "Expected a JSON Pointer"),
        ([{"op": "move", "path": "/a"}], [0, "from"], "Required"),
        ([{"op": "copy", "from": "x", "path": "/a"}], [0, "from"], "Expected a JSON Pointer"),
        ([{"op": "test", "path": "", "value": 1}] * 1001, [], "Expected at most 1,000 operations"),
        ("[", [], "Input data was truncated"),
        ("", [], "The body is empty"),
    ],
)
async def test_a_malformed_json_patch_is_refused(
    call: Caller, body: Any, path: list[str], message: str
) -> None:
    await write(call, "{}")
    answer = await patched(call, body, JSON_PATCH)
    assert answer.status_code == 400
    (detail,) = answer.json()["errors"]
    assert (detail["location"], detail["path"]) == ("body", path)
    assert detail["message"].startswith(message), detail


async def test_copies_cannot_make_a_value_grow_without_limit(call: Caller) -> None:
    await write(call, json.dumps({"a": "x" * 1000}))
    double = {"op": "copy", "from": "", "path": "/b"}
    answer = await patched(call, [double] * 20, JSON_PATCH)
    assert answer.status_code == 413
    assert "copy more than 100,000 bytes" in answer.json()["error"]
    copies = [{"op": "copy", "from": "/a", "path": "/b"}, {"op": "remove", "path": "/b"}]
    assert (await patched(call, copies * 99, JSON_PATCH)).status_code == 200
    assert (await patched(call, copies * 100, JSON_PATCH)).status_code == 413


async def test_only_values_up_to_a_limit_are_patched(call: Caller) -> None:
    await write(call, json.dumps("x" * 100_000))
    answer = await patched(call, {"a": 1}, MERGE)
    assert answer.status_code == 413
    assert "at most 100,000 can be patched" in answer.json()["error"]
    assert (await patched(call, {"ttl": 60})).status_code == 200
    await write(call, "{}")
    too_long = json.dumps({"a": "x" * 200_000})
    assert (await patched(call, too_long, MERGE)).status_code == 413


async def test_a_patch_cannot_nest_a_value_too_deep(call: Caller) -> None:
    deep = "[" * 300 + "]" * 300
    await write(call, deep)
    inside = [{"op": "add", "path": "/0" * 299 + "/-", "value": json.loads(deep)}]
    answer = await patched(call, inside, JSON_PATCH)
    assert answer.status_code == 400
    assert "nested deeper than 512" in answer.text
    await write(call, "[" * 512 + "]" * 512)
    again = [{"op": "copy", "from": "", "path": "/-"}]
    assert (await patched(call, again, JSON_PATCH)).status_code in (400, 409)


async def test_bytes_and_absent_values_cannot_be_patched(call: Caller) -> None:
    storage = call.server.runtime.storage
    await storage.set(Set(namespace="default", key="bytes", value=b"\xff", is_json=False))
    bodies: list[tuple[object, dict[str, str]]] = [({"a": 1}, MERGE), ([], JSON_PATCH)]
    for body, headers in bodies:
        assert (await patched(call, body, headers, "bytes")).status_code == 409
        assert (await patched(call, body, headers, "absent")).status_code == 404
    assert (await patched(call, {"increment": 1}, key="bytes")).status_code == 409
    assert (await patched(call, {"ttl": 1}, key="absent")).status_code == 404
    assert (await patched(call, {"metadata": {}}, key="absent")).status_code == 404
    assert (await patched(call, {"metadata": {"a": 1}}, key="bytes")).status_code == 200
    raw = await call("GET", "/v1/kv/bytes", headers={"Accept": "application/octet-stream"})
    assert (raw.content, raw.headers["x-kv-metadata"]) == (b"\xff", '{"a":1}')


@pytest.mark.parametrize(
    ("value", "increment", "result"),
    [
        ("1", "1", "2"),
        ("9007199254740990", "1", "9007199254740991"),
        ("-9007199254740990", "-1", "-9007199254740991"),
        ("0.1", "0.2", "0.3"),
        ("1", "0.5", "1.5"),
        ("1.5", "0.5", "2.0"),
        ("-0", "0", "0"),
        ("1e3", "1", "1001"),
        ("1.7e308", "1", "1.7000000000000000E+308"),
    ],
)
async def test_an_increment_is_exact(call: Caller, value: str, increment: str, result: str) -> None:
    await write(call, value)
    answer = await patched(call, f'{{"increment": {increment}}}')
    assert answer.status_code == 200, answer.text
    assert answer.content == f'{{"status":200,"success":true,"data":{result}}}'.encode()
    assert await text_of(call) == result


async def test_a_number_with_white_space_around_it_is_counted(call: Caller) -> None:
    put = await call("PUT", "/v1/kv/a", content="\t5\r\n", headers={"Content-Type": "text/plain"})
    assert put.status_code == 200, put.text
    answer = await patched(call, {"increment": 1})
    assert (answer.status_code, answer.json().get("data")) == (200, 6), answer.text
    assert await text_of(call) == "6"


@pytest.mark.parametrize(
    ("value", "body", "error"),
    [
        ("9007199254740991", '{"increment": 1}', "The number would be 9007199254740992; "),
        ("-9007199254740991", '{"increment": -1}', "The number would be -9007199254740992; "),
        ("1.7e308", '{"increment": 1.7e308}', "The number would be 3.4E+308; "),
        ("5", '{"increment": 1, "max": 5}', "The number would be 6, above max 5"),
        ("5", '{"increment": -1, "min": 5}', "The number would be 4, below min 5"),
        ('"5"', '{"increment": 1}', "The value is no number"),
        ("[1]", '{"increment": 1}', "The value is no number"),
        ("true", '{"increment": 1}', "The value is no number"),
        ("null", '{"increment": 1}', "The value is no number"),
        ("1e999999999999999999999", '{"increment": 1}', "The value is no number"),
        ("1" * 500, '{"increment": 1}', "The value is no number"),
    ],
)
async def test_an_increment_that_cannot_be_exact_or_in_bounds_changes_nothing(
    call: Caller, value: str, body: str, error: str
) -> None:
    await write(call, value)
    answer = await patched(call, body)
    assert answer.status_code == 409, answer.text
    assert answer.json()["error"].startswith(error)
    assert await text_of(call) == value


async def test_an_increment_creates_a_key_that_may_expire(call: Caller, clock: MovedClock) -> None:
    body = {"increment": 2, "initial": 10, "ttl": 60}
    answer = await patched(call, body)
    assert (answer.status_code, answer.json()["data"]) == (200, 12)
    clock.move(59)
    assert (await patched(call, body)).json()["data"] == 14
    clock.move(1)  # the first ttl has passed: the second increment did not prolong it
    assert (await patched(call, body)).json()["data"] == 12
    assert (await patched(call, {"increment": 1}, key="other")).json()["data"] == 1
    assert (
        await patched(call, {"increment": 1, "initial": 9, "max": 9}, key="b")
    ).status_code == 409
    assert (await call("GET", "/v1/kv/b")).status_code == 404


async def test_a_patch_keeps_the_lifetime_and_the_metadata(call: Caller, clock: MovedClock) -> None:
    await write(call, "1", ttl=60, metadata={"m": 1})
    await patched(call, {"increment": 1})
    await patched(call, [{"op": "replace", "path": "", "value": {}}], JSON_PATCH)
    await patched(call, {"a": 1}, MERGE)
    got = await call("GET", "/v1/kv/a")
    assert (got.json()["data"], got.headers["x-kv-metadata"]) == ({"a": 1}, '{"m":1}')
    clock.move(60)
    assert (await call("GET", "/v1/kv/a")).status_code == 404


async def test_a_touch_changes_only_the_lifetime_and_keeps_the_version(
    call: Caller, clock: MovedClock
) -> None:
    put = await write(call, "1", ttl=60, metadata={"m": 1})
    first = await call("GET", "/v1/kv/a")
    touch = await patched(call, {"ttl": 120})
    assert (touch.status_code, touch.json()["data"]) == (200, True)
    assert touch.headers["etag"] == put.headers["etag"]
    got = await call("GET", "/v1/kv/a", headers={"If-None-Match": put.headers["etag"]})
    assert got.status_code == 304
    assert got.headers["expires"] != first.headers["expires"]
    clock.move(119)
    got = await call("GET", "/v1/kv/a")
    assert (got.status_code, got.headers["x-kv-metadata"]) == (200, '{"m":1}')
    at = int(clock()) + 100
    assert (await patched(call, {"expires_at": at})).status_code == 200
    clock.move(50)
    assert (await patched(call, {"expires_at": None})).status_code == 200
    clock.move(1000)
    got = await call("GET", "/v1/kv/a")
    assert got.headers["etag"] == put.headers["etag"]
    assert "expires" not in got.headers


async def test_metadata_is_changed_without_the_value(call: Caller, clock: MovedClock) -> None:
    put = await write(call, "[1, 2]", ttl=60)
    answer = await patched(call, {"metadata": {"a": 1}})
    assert (answer.status_code, answer.json()["data"]) == (200, True)
    assert answer.headers["etag"] != put.headers["etag"]
    got = await call("GET", "/v1/kv/a")
    assert (got.json()["data"], got.headers["x-kv-metadata"]) == ([1, 2], '{"a":1}')
    assert "expires" in got.headers
    await patched(call, {"metadata": None, "expires_at": None})
    got = await call("GET", "/v1/kv/a")
    assert "x-kv-metadata" not in got.headers
    assert "expires" not in got.headers


@on_one_storage
@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ({}, [], "Expected increment, or some of ttl, expires_at and metadata"),
        ([], [], "Expected a JSON object, as in"),
        ("1 2", [], "Expected a JSON object, as in"),
        ('{"increment": 1', [], "Input data was truncated"),
        ({"incremnt": 1}, ["incremnt"], "Unknown; expected increment, or some of ttl"),
        ({"increment": "1"}, ["increment"], "Expected a number"),
        ({"increment": None}, ["increment"], "Expected a number"),
        ({"increment": 1, "min": []}, ["min"], "Expected a number"),
        ({"increment": 1, "min": 2, "max": 1}, ["max"], "Expected at least as much as min"),
        ({"increment": 1, "metadata": {}}, ["metadata"], "Unknown; expected initial, min, max"),
        ({"increment": 1, "expires_at": None}, ["expires_at"], "Expected a whole number"),
        ({"ttl": 0}, ["ttl"], "Expected a whole number of at least 1"),
        ({"ttl": 1.5}, ["ttl"], "Expected a whole number of at least 1"),
        ({"ttl": None}, ["ttl"], "Expected a whole number of at least 1"),
        ({"ttl": 1, "expires_at": 99999999999}, ["expires_at"], "Expected ttl or expires_at"),
        ({"ttl": 1, "expires_at": None}, ["expires_at"], "Expected ttl or expires_at"),
        ({"expires_at": 1}, ["expires_at"], "Expected a time in the future"),
        ({"metadata": 1}, ["metadata"], "Expected a JSON object"),
        ({"metadata": {"a": "x" * 1024}}, ["metadata"], "Expected at most 1,024 bytes"),
    ],
)
async def test_a_malformed_patch_is_refused(
    call: Caller, body: Any, path: list[str], message: str
) -> None:
    await write(call, "1")
    answer = await patched(call, body)
    assert answer.status_code == 400, answer.text
    (detail,) = answer.json()["errors"]
    assert (detail["location"], detail["path"]) == ("body", path)
    assert detail["message"].startswith(message), detail


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", ""])
async def test_another_content_type_gets_the_accepted_types(
    call: Caller, content_type: str
) -> None:
    answer = await patched(call, "{}", {"Content-Type": content_type})
    assert answer.status_code == 415
    assert answer.headers["accept-patch"] == (
        "application/json, application/merge-patch+json, application/json-patch+json"
    )


async def test_a_patch_may_have_preconditions(call: Caller) -> None:
    put = await write(call, "1")
    etag = put.headers["etag"]
    bodies: list[dict[str, Any]] = [
        {"increment": 1},
        {"metadata": {}},
        {"ttl": 9},
        {"ttl": 9, "metadata": None},
    ]
    for body in bodies:
        for headers in ({"If-Match": '"other"'}, {"If-None-Match": "*"}, {"If-None-Match": etag}):
            answer = await patched(call, body, JSON | headers)
            assert answer.status_code == 412, (body, headers)
        absent = await patched(call, body, JSON | {"If-Match": "*"}, "absent")
        assert absent.status_code == 412
    assert (await call("GET", "/v1/kv/a")).headers["etag"] == etag
    assert (await patched(call, {"ttl": 9}, JSON | {"If-Match": etag})).status_code == 200
    assert (await patched(call, {"ttl": 9}, JSON | {"If-None-Match": '"b"'})).status_code == 200
    new = await patched(call, {"increment": 1}, JSON | {"If-Match": etag})
    assert new.status_code == 200
    assert (await patched(call, {"increment": 1}, JSON | {"If-Match": etag})).status_code == 412
    created = await patched(call, {"increment": 1}, JSON | {"If-None-Match": "*"}, "new")
    assert created.status_code == 200


async def test_a_patch_may_leave_the_value_out_of_its_answer(call: Caller) -> None:
    await write(call, "1")
    answer = await patched(call, {"increment": 1}, JSON | {"Prefer": "return=minimal"})
    assert answer.json()["data"] is None
    assert answer.headers["preference-applied"] == "return=minimal"
    assert (await call("GET", "/v1/kv/a")).headers["etag"] == answer.headers["etag"]


async def test_a_key_in_the_query_is_patched_too(call: Caller) -> None:
    for _ in range(2):
        answer = await call("PATCH", "/v1/kv?key=..", json={"increment": 1})
        assert answer.status_code == 200
    assert await call.data("GET", "/v1/kv?key=..") == 2
    missing = await call("PATCH", "/v1/kv", json={"increment": 1})
    assert missing.status_code == 400


async def test_a_large_patch_is_applied_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []
    loop = threading.get_ident()

    def noted(text: bytes, *_: object, **__: object) -> bytes:
        threads.append(threading.get_ident() == loop)
        return text

    monkeypatch.setattr(updates, "merged", noted)
    monkeypatch.setattr(updates, "patched", noted)
    async with make_server(SqliteStorage(tmp_path / "kv")) as server:
        call = Caller(server)
        await write(call, "{}")
        for text, in_loop in (("x", True), ("x" * 100_000, False)):
            step = {"op": "add", "path": "/a", "value": text}
            for body, headers in (({"a": text}, MERGE), ([step], JSON_PATCH)):
                threads.clear()
                while in_loop not in threads:  # a short patch is in a thread beside another write
                    assert (await patched(call, body, headers)).status_code == 200
                    assert len(threads) < 100
                assert in_loop or threads == [False]


async def test_increments_at_the_same_time_are_all_counted(call: Caller) -> None:
    answers = await asyncio.gather(*(patched(call, {"increment": 1}) for _ in range(200)))
    assert sorted(one.json()["data"] for one in answers) == list(range(1, 201))
    assert await text_of(call) == "200"
