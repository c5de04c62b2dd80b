"""Test single values over HTTP."""

import json
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caller import Caller, make_server, on_one_storage
from workertown_kv.operations import Set
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock
from workertown_kv.testing.strategies import JSON_TEXTS, KEYS, ODD_KEYS

pytestmark = pytest.mark.anyio
on_one_server = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def test_a_value_that_was_put_is_got_in_the_envelope(call: Caller) -> None:
    put = await call("PUT", "/v1/kv/a", json={"value": {"b": [1, 2.5, None, True]}})
    assert put.status_code == 200
    assert put.json() == {"status": 200, "success": True, "data": {"b": [1, 2.5, None, True]}}
    got = await call("GET", "/v1/kv/a")
    assert got.json() == put.json()
    assert got.headers["content-type"] == "application/json"
    assert got.headers["etag"] == put.headers["etag"]
    assert got.headers["cache-control"] == "no-cache"


async def test_what_was_never_put_is_404(call: Caller) -> None:
    got = await call("GET", "/v1/kv/a")
    assert got.status_code == 404
    assert got.json() == {
        "status": 404,
        "success": False,
        "data": None,
        "error": "Not found",
        "request_id": got.headers["x-request-id"],
    }


@on_one_server
@given(text=JSON_TEXTS)
async def test_json_text_comes_back_as_it_was_sent(call: Caller, text: str) -> None:
    body = f'{{"value": {text} }}'.encode()
    put = await call("PUT", "/v1/kv/a", content=body, headers={"Content-Type": "application/json"})
    assert put.status_code == 200
    wanted = b'{"status":200,"success":true,"data":' + text.strip().encode() + b"}"
    assert put.content == wanted
    assert (await call("GET", "/v1/kv/a")).content == wanted
    raw = await call("GET", "/v1/kv/a", headers={"Accept": "application/octet-stream"})
    assert raw.content == text.strip().encode()


@on_one_server
@given(key=KEYS, value=st.integers())
async def test_any_key_works_in_the_path_and_in_the_query(
    call: Caller, key: str, value: int
) -> None:
    path, query = f"/v1/kv/{quote(key, safe='')}", f"/v1/kv?key={quote(key, safe='')}"
    if key in (".", ".."):
        path = query
    assert await call.data("PUT", path, json={"value": value}) == value
    assert await call.data("GET", query) == value
    assert await call.data("PUT", query, json={"value": [value]}) == [value]
    assert await call.data("GET", path) == [value]
    assert await call.data("DELETE", query) is True
    assert (await call("GET", path)).status_code == 404


async def test_an_encoded_slash_is_a_slash(call: Caller) -> None:
    await call.put("a%2Fb", 1)
    assert await call.data("GET", "/v1/kv/a/b") == 1
    await call.put("a//b/", 2)
    assert await call.data("GET", "/v1/kv/a%2f%2fb%2F") == 2
    assert (await call("GET", "/v1/kv/a/b/")).status_code == 404


async def test_a_key_is_decoded_once(call: Caller) -> None:
    await call.put("a%252Fb", 1)
    assert await call.data("GET", "/v1/kv?key=a%252Fb") == 1
    assert (await call("GET", "/v1/kv/a/b")).status_code == 404
    await call.put("a+b", 1)
    assert await call.data("GET", "/v1/kv?key=a%2Bb") == 1
    assert (await call("GET", "/v1/kv?key=a+b")).status_code == 404
    assert await call.data("PUT", "/v1/kv?key=a+b", json={"value": 2}) == 2
    assert await call.data("GET", "/v1/kv/a%20b") == 2


@pytest.mark.parametrize("url", ["/v1/kv/%ff", "/v1/kv/a%c3", "/v1/kv?key=%ed%a0%80"])
async def test_a_key_that_is_not_utf8_is_400(call: Caller, url: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = await call(method, url, json={"value": 1})
        assert answer.status_code == 400
    assert "UTF-8" in (await call("GET", url)).text


@pytest.mark.parametrize("url", ["/v1/kv/", "/v1/kv?key="])
async def test_an_empty_key_is_400(call: Caller, url: str) -> None:
    answer = await call("PUT", url, json={"value": 1})
    assert answer.status_code == 400
    assert "empty" in answer.json()["error"]


async def test_a_key_may_have_2048_bytes_and_not_one_more(call: Caller) -> None:
    for longest in ("a" * 2048, "é" * 1024):
        await call.put(quote(longest), 1)
        for method in ("GET", "PUT", "DELETE"):
            for url in (f"/v1/kv/{quote(longest + 'a')}", f"/v1/kv?key={quote(longest + 'a')}"):
                answer = await call(method, url, json={"value": 1})
                assert answer.status_code == 414
                assert "2,048" in answer.json()["error"]


async def test_a_question_mark_that_was_not_encoded_is_not_swallowed(call: Caller) -> None:
    answer = await call("PUT", "/v1/kv/what?now", json={"value": 1})
    assert answer.status_code == 400
    assert "%3F" in answer.text
    assert (await call("GET", "/v1/kv/what")).status_code == 404


async def test_head_is_get_without_a_body(call: Caller) -> None:
    await call.put("a", [1, 2], ttl=60, metadata={"b": 1})
    named = {"X-Request-Id": "1"}
    got = await call("GET", "/v1/kv/a", headers=named)
    head = await call("HEAD", "/v1/kv/a", headers=named)
    assert head.content == b""
    assert head.status_code == 200
    assert dict(head.headers) == dict(got.headers)
    assert (await call("HEAD", "/v1/kv/b")).status_code == 404


async def test_deleting_is_true_whether_or_not_there_was_a_value(call: Caller) -> None:
    await call.put("a", 1)
    assert await call.data("DELETE", "/v1/kv/a") is True
    assert await call.data("DELETE", "/v1/kv/a") is True
    assert (await call("GET", "/v1/kv/a")).status_code == 404


# Lifetimes


async def test_a_value_expires_after_its_ttl(call: Caller, clock: MovedClock) -> None:
    await call.put("a", 1, ttl=2)
    clock.move(1.999)
    got = await call("GET", "/v1/kv/a")
    assert got.status_code == 200
    assert parsedate_to_datetime(got.headers["expires"]).timestamp() == 1_800_000_002
    clock.move(0.001)
    assert (await call("GET", "/v1/kv/a")).status_code == 404
    assert (await call("HEAD", "/v1/kv/a")).status_code == 404


async def test_a_put_without_a_ttl_clears_an_older_one(call: Caller, clock: MovedClock) -> None:
    await call.put("a", 1, ttl=1, metadata={"b": 1})
    await call.put("a", 2)
    clock.move(5)
    got = await call("GET", "/v1/kv/a")
    assert got.json()["data"] == 2
    assert "expires" not in got.headers
    assert "x-kv-metadata" not in got.headers


async def test_expires_at_is_a_ttl_as_a_moment(call: Caller, clock: MovedClock) -> None:
    await call.put("a", 1, expires_at=int(clock()) + 5)
    clock.move(4.9)
    assert await call.data("GET", "/v1/kv/a") == 1
    clock.move(0.1)
    assert (await call("GET", "/v1/kv/a")).status_code == 404


_WRONG: dict[str, list[object]] = {
    "ttl": [0, -1, 1.5, 1.0, "60", None, True, [], 10**30],
    "expires_at": [0, -5, 1_800_000_000, 1.5, "x", None, 10**30],
    "metadata": [None, 1, "x", [], True, {"a": "x" * 1017}],
}


@on_one_storage
@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in _WRONG.items() for value in values],
)
async def test_a_wrong_field_is_named_and_nothing_is_written(
    call: Caller, field: str, value: object
) -> None:
    answer = await call("PUT", "/v1/kv/a", json={"value": 1, field: value})
    assert answer.status_code == 400
    body = answer.json()
    assert body["error"] == "Invalid request body"
    assert [(one["location"], one["path"]) for one in body["errors"]] == [("body", [field])]
    assert body["errors"][0]["message"].startswith("Expected ")
    assert (await call("GET", "/v1/kv/a")).status_code == 404


async def test_ttl_together_with_expires_at_is_400(call: Caller) -> None:
    answer = await call("PUT", "/v1/kv/a", json={"value": 1, "ttl": 1, "expires_at": 1_900_000_000})
    assert answer.status_code == 400
    assert "not both" in answer.text


# Metadata


@given(metadata=st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4))
@on_one_server
async def test_metadata_comes_back_as_ascii_json(call: Caller, metadata: dict[str, str]) -> None:
    body = json.dumps({"value": 1, "metadata": metadata}, indent=2, ensure_ascii=False)
    put = await call(
        "PUT",
        "/v1/kv/a",
        content=body.encode("utf-8", "surrogatepass"),
        headers={"Content-Type": "application/json"},
    )
    if any("\ud800" <= letter <= "\udfff" for letter in body):
        assert put.status_code == 400
        return
    if put.status_code == 400:
        assert "1,024 bytes" in put.text
        return
    got = await call("GET", "/v1/kv/a")
    assert json.loads(got.headers["x-kv-metadata"]) == metadata
    assert got.headers["x-kv-metadata"].isascii()
    assert got.headers["x-kv-metadata"].isprintable()


async def test_metadata_may_have_1024_bytes_and_not_one_more(call: Caller) -> None:
    await call.put("a", 1, metadata={"m": "x" * 1016})
    answer = await call("PUT", "/v1/kv/a", json={"value": 1, "metadata": {"m": "x" * 1017}})
    assert answer.status_code == 400
    assert "1,024" in answer.text


async def test_numbers_in_metadata_stay_as_they_were_written(call: Caller) -> None:
    text = b'{"value":1,"metadata": {"a" : 1e999, "b": [ 123456789012345678901234567890 ]}}'
    await call("PUT", "/v1/kv/a", content=text, headers={"Content-Type": "application/json"})
    got = await call("GET", "/v1/kv/a")
    assert got.headers["x-kv-metadata"] == '{"a":1e999,"b":[123456789012345678901234567890]}'


# Bodies


@on_one_storage
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b'"a"',
        b'{"value": 1} x',
        b'{"value": 1, "tll": 5}',
        b'{"Value": 1}',
        b'{"value": NaN}',
        b'{"value": -Infinity}',
        b'{"value": 01}',
        b'{"value": 1.}',
        b'{"value": [1,]}',
        b'{"value": {"a":1,}}',
        b"{'value': 1}",
        b'{"value": "\x01"}',
        b'{"value": "\n"}',
        b'{"value": "\\x"}',
        b'{"value": "\\ud800"}',
        b'{"value": "\\udc00 and more"}',
        b'{"value": "\xff"}',
        b'{"value": "\xed\xa0\x80"}',
        b'{"v\xffalue": 1}',
        b'{"value": 1, "metadata": {"a": "\xff"}}',
        b'\xef\xbb\xbf{"value": 1}',
        '{"value": 1}'.encode("utf-16"),
        b'{"value": tru}',
        b'{"value": // no comment\n 1}',
        b'{"value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"value": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    ],
    ids=lambda body: repr(body[:40]),
)
async def test_a_malformed_body_is_400_and_nothing_is_written(call: Caller, body: bytes) -> None:
    answer = await call("PUT", "/v1/kv/a", content=body, headers=_JSON)
    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert answer.json()["errors"][0]["location"] == "body"
    assert (await call("GET", "/v1/kv/a")).status_code == 404


_JSON = {"Content-Type": "application/json"}


@on_one_storage
@given(garbage=st.binary(max_size=60))
@on_one_server
async def test_no_body_whatever_is_a_500(call: Caller, garbage: bytes) -> None:
    for body in (garbage, b'{"value":' + garbage + b"}", b'{"operations":[' + garbage + b"]}"):
        assert (await call("PUT", "/v1/kv/a", content=body, headers=_JSON)).status_code < 500
        assert (await call("POST", "/v1/kv", content=body, headers=_JSON)).status_code < 500


async def test_the_errors_name_what_would_be_right(call: Caller) -> None:
    missing = await call("PUT", "/v1/kv/a", json={"ttl": 1})
    assert missing.json()["errors"] == [
        {"location": "body", "path": ["value"], "message": "Required"}
    ]
    unknown = await call("PUT", "/v1/kv/a", json={"value": 1, "tll": 1})
    assert unknown.json()["errors"] == [
        {
            "location": "body",
            "path": ["tll"],
            "message": "Unknown; expected value, ttl, expires_at, metadata",
        }
    ]
    halves = await call("PUT", "/v1/kv/a", content=b'{"value":"\\ud800"}', headers=_JSON)
    assert "surrogate" in halves.json()["errors"][0]["message"]


@on_one_storage
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": ""},
        {},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "image/png", "Content-Encoding": "gzip"},
    ],
)
async def test_a_body_of_a_form_without_a_type_or_compressed_is_415(
    call: Caller, headers: dict[str, str]
) -> None:
    answer = await call("PUT", "/v1/kv/a", content=b'{"value":1}', headers=headers)
    assert answer.status_code == 415
    assert "Expected" in answer.json()["error"]


async def test_a_content_type_may_have_parameters_and_capitals(call: Caller) -> None:
    headers = {"Content-Type": "Application/JSON ; charset=UTF-8"}
    answer = await call("PUT", "/v1/kv/a", content=b'{"value":1}', headers=headers)
    assert answer.status_code == 200


async def test_value_bytes_is_a_limit_to_the_byte(clock: MovedClock) -> None:
    server = make_server(MemoryStorage(clock=clock), limits={"value_bytes": 100})
    call = Caller(server)
    await call.put("a", "x" * 98)
    for longer in ("x" * 99, "x" * 100_000):
        answer = await call("PUT", "/v1/kv/a", json={"value": longer})
        assert answer.status_code == 413
        assert answer.json()["success"] is False
    assert await call.data("GET", "/v1/kv/a") == "x" * 98
    spaces = b'{"value":' + b" " * 500 + b"1" + b" " * 500 + b"}"
    assert (await call("PUT", "/v1/kv/a", content=spaces, headers=_JSON)).status_code == 200


# Conditions


async def test_if_none_match_gives_304(call: Caller) -> None:
    tag = (await call.put("a", 1, ttl=60)).headers["etag"]
    for field in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = await call("GET", "/v1/kv/a", headers={"If-None-Match": field})
        assert answer.status_code == 304
        assert answer.content == b""
        assert answer.headers["etag"] == tag
        assert "expires" in answer.headers
    assert await call.data("GET", "/v1/kv/a", headers={"If-None-Match": '"x"'}) == 1
    missing = await call("GET", "/v1/kv/b", headers={"If-None-Match": tag})
    assert missing.status_code == 404


async def test_a_write_that_does_not_hold_is_412_and_changes_nothing(call: Caller) -> None:
    first = (await call.put("a", 1)).headers["etag"]
    second = (await call.put("a", 2)).headers["etag"]
    assert first != second
    for condition in (
        {"If-Match": first},
        {"If-Match": f"W/{first}"},
        {"If-Match": f'"{first[1:-1]}-gzip"'},
        {"If-Match": f'"{second[1:-1]}-other"'},
        {"If-Match": f'"{second[1:-1]}gzip"'},
        {"If-Match": '"x", "y"'},
        {"If-None-Match": "*"},
        {"If-None-Match": second},
        {"If-None-Match": f'W/"{second[1:-1]}-gzip"'},
    ):
        for method in ("PUT", "DELETE"):
            answer = await call(method, "/v1/kv/a", json={"value": 3}, headers=condition)
            assert answer.status_code == 412
            assert answer.json()["error"] == "Precondition failed"
    got = await call("GET", "/v1/kv/a")
    assert (got.json()["data"], got.headers["etag"]) == (2, second)
    for method in ("PUT", "DELETE"):
        answer = await call(method, "/v1/kv/b", json={"value": 3}, headers={"If-Match": "*"})
        assert answer.status_code == 412


async def test_a_write_that_holds_happens(call: Caller) -> None:
    created = await call("PUT", "/v1/kv/a", json={"value": 1}, headers={"If-None-Match": "*"})
    assert created.status_code == 200
    tag = created.headers["etag"]
    changed = await call("PUT", "/v1/kv/a", json={"value": 2}, headers={"If-Match": f'"x",{tag}'})
    assert changed.status_code == 200
    deleted = await call("DELETE", "/v1/kv/a", headers={"If-Match": changed.headers["etag"]})
    assert deleted.status_code == 200
    again = await call("DELETE", "/v1/kv/a", headers={"If-None-Match": "*"})
    assert again.status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        *('W/"{}"', '"{}-gzip"', 'W/"{}-gzip"', '"{};gzip"', '"{};gz"', '"{}--gzip"'),
        *('"{}-br"', '"{};br"', '"{}-zstd"', '"{}-deflate"'),
    ],
)
async def test_what_a_compressing_proxy_adds_to_a_version_does_not_count(
    call: Caller, changed: str
) -> None:
    rest = "/client/v4/accounts/a/storage/kv/namespaces/" + "0" * 32 + "/values/a"
    for url in ("/v1/kv/a", rest):
        for method in ("PUT", "DELETE"):
            tag = changed.format((await call.put("a", 1)).headers["etag"][1:-1])
            for name, status in (("If-Match", 200), ("If-None-Match", 304)):
                assert (await call("GET", url, headers={name: tag})).status_code == status
            refused = await call(method, url, json={"value": 2}, headers={"If-None-Match": tag})
            assert refused.status_code == 412
            written = await call(method, url, json={"value": 2}, headers={"If-Match": tag})
            assert written.status_code == 200


async def test_an_expired_value_counts_as_none_for_conditions(
    call: Caller, clock: MovedClock
) -> None:
    tag = (await call.put("a", 1, ttl=1)).headers["etag"]
    clock.move(1)
    stale = await call("PUT", "/v1/kv/a", json={"value": 2}, headers={"If-Match": tag})
    assert stale.status_code == 412
    created = await call("PUT", "/v1/kv/a", json={"value": 2}, headers={"If-None-Match": "*"})
    assert created.status_code == 200


@on_one_storage
@pytest.mark.parametrize(
    "tag", ["", " ", ",", "abc", '"abc', "W/abc", "*, *", '"a" "b"', ", " * 5000 + "x"]
)
async def test_a_malformed_condition_is_400_and_changes_nothing(call: Caller, tag: str) -> None:
    for name in ("If-Match", "If-None-Match"):
        answer = await call("PUT", "/v1/kv/a", json={"value": 1}, headers={name: tag})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["location"] == "header"
    both = {"If-Match": "*", "If-None-Match": "*"}
    assert (await call("PUT", "/v1/kv/a", json={"value": 1}, headers=both)).status_code == 400
    assert (await call("GET", "/v1/kv/a")).status_code == 404


# Forms


async def test_prefer_minimal_leaves_the_echo_out(call: Caller) -> None:
    for prefer in ("respond-async, return=minimal", 'Return = "minimal"'):
        answer = await call("PUT", "/v1/kv/a", json={"value": [1]}, headers={"Prefer": prefer})
        assert answer.json()["data"] is None
    answer = await call(
        "PUT", "/v1/kv/a", json={"value": [1]}, headers={"Prefer": "x=return=minimal"}
    )
    assert answer.json()["data"] == [1]
    answer = await call(
        "PUT", "/v1/kv/a", json={"value": [1]}, headers={"Prefer": "return=minimal"}
    )
    assert answer.headers["preference-applied"] == "return=minimal"
    assert await call.data("GET", "/v1/kv/a") == [1]


@pytest.mark.parametrize(
    ("accept", "raw"),
    [
        ("application/octet-stream", True),
        ("Application/Octet-Stream;q=0.5", True),
        ("application/octet-stream, application/json", True),
        ("application/octet-stream;q=0.5, application/json", False),
        ("application/octet-stream;q=0", False),
        ("*/*", False),
        ("text/html", False),
        ("application/json", False),
    ],
)
async def test_accept_chooses_the_form(call: Caller, accept: str, raw: bool) -> None:
    await call.put("a", [1])
    got = await call("GET", "/v1/kv/a", headers={"Accept": accept})
    assert got.headers["vary"] == "accept"
    assert (got.content == b"[1]") is raw
    media_type = "application/octet-stream" if raw else "application/json"
    assert got.headers["content-type"] == media_type


async def test_a_value_that_is_not_json_can_only_be_read_as_bytes(clock: MovedClock) -> None:
    storage = MemoryStorage(clock=clock)
    await storage.set(Set(namespace="default", key="a", value=b"\xff\0", is_json=False))
    call = Caller(make_server(storage))
    refused = await call("GET", "/v1/kv/a")
    assert refused.status_code == 406
    assert "application/octet-stream" in refused.json()["error"]
    assert (await call("HEAD", "/v1/kv/a")).status_code == 406
    got = await call("GET", "/v1/kv/a", headers={"Accept": "application/octet-stream"})
    assert got.content == b"\xff\0"


@on_one_storage
@pytest.mark.parametrize("method", ["POST", "OPTIONS", "TRACE", "get", "BREW"])
async def test_a_method_that_a_path_does_not_have_is_405(call: Caller, method: str) -> None:
    answer = await call(method, "/v1/kv/a")
    if method == "get":
        assert answer.status_code in (200, 404, 405)
        return
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PATCH, PUT"


async def test_odd_keys_are_all_kept_apart(call: Caller) -> None:
    for key in ODD_KEYS:
        await call.data("PUT", f"/v1/kv?key={quote(key, safe='')}", json={"value": key})
    for key in ODD_KEYS:
        assert await call.data("GET", f"/v1/kv?key={quote(key, safe='')}") == key


@on_one_storage
@pytest.mark.parametrize("length", ["9" * 5000, "-1", "x"])
async def test_a_length_that_is_none_is_refused(call: Caller, length: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": length}
    answer = await call("PUT", "/v1/kv/a", content=b'{"value": 1}', headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"] == "Expected a Content-Length in decimal digits"


@on_one_storage
@pytest.mark.parametrize(
    ("body", "example"),
    [
        ("dark", '{"value": "dark"}'),
        ('"dark"', '{"value": "dark"}'),
        (" 5 ", '{"value": 5}'),
        ("[1, 2]", '{"value": [1, 2]}'),
        ("theme=dark", '{"value": "theme=dark"}'),
        ("", '{"value": "dark"}'),
        ('"' + "x" * 200 + '"', '{"value": "dark"}'),
    ],
)
async def test_a_body_without_an_object_is_answered_with_the_right_one(
    call: Caller, body: str, example: str
) -> None:
    put = await call(
        "PUT", "/v1/kv/a", content=body.encode(), headers={"Content-Type": "application/json"}
    )
    assert put.status_code == 400
    [detail] = put.json()["errors"]
    assert detail["message"].lower().endswith(f"expected a json object, as in {example}".lower())
    batch = await call(
        "POST", "/v1/kv", content=body.encode(), headers={"Content-Type": "application/json"}
    )
    assert '{"operations": [{"op": "get", "key": "theme"}]}' in batch.json()["errors"][0]["message"]


async def test_a_missing_key_is_not_answered_as_a_path_that_there_is_not(call: Caller) -> None:
    assert (await call("GET", "/v1/kv/a")).json()["error"] == "Not found"
    elsewhere = (await call("GET", "/theme")).json()["error"]
    assert elsewhere == "There is nothing at /theme; values are at /v1/kv/{key}"
