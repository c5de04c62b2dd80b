"""Test a `PUT` whose body is the value itself."""

import pytest

from caller import Caller, on_one_storage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio

RAW = {"Accept": "application/octet-stream"}


async def test_a_body_of_another_type_is_the_value_itself(call: Caller) -> None:
    for body in (b"\x89PNG\r\n\x00", b"", b"plain text", b'{"half":', b"\xef\xbb\xbf1"):
        put = await call("PUT", "/v1/kv/a", content=body, headers={"Content-Type": "image/png"})
        assert (put.status_code, put.json()["data"]) == (200, None)
        got = await call("GET", "/v1/kv/a", headers=RAW)
        assert (got.content, got.headers["etag"]) == (body, put.headers["etag"])
        assert (await call("GET", "/v1/kv/a")).status_code == 406


async def test_a_body_that_is_json_becomes_json(call: Caller) -> None:
    for body in (b'{"value": 1}', b" [1,\n2] ", b'"text"', b"null", b"1e999"):
        put = await call("PUT", "/v1/kv/a", content=body, headers={"Content-Type": "text/plain"})
        assert put.status_code == 200
        got = await call("GET", "/v1/kv/a")
        wanted = b'{"status":200,"success":true,"data":' + body + b"}"
        assert put.content == got.content == wanted
        assert (await call("GET", "/v1/kv/a", headers=RAW)).content == body
    deep = b"[" * 513 + b"]" * 513
    await call("PUT", "/v1/kv/a", content=deep, headers={"Content-Type": "text/plain"})
    assert (await call("GET", "/v1/kv/a")).status_code == 406


async def test_the_lifetime_is_in_the_query_and_the_metadata_in_a_field(
    call: Caller, clock: MovedClock
) -> None:
    fields = {"Content-Type": "text/csv", "X-KV-Metadata": '{"a": "\\u00e9"}'}
    put = await call("PUT", "/v1/kv/a?ttl=60", content=b"1,2", headers=fields)
    assert put.status_code == 200, put.text
    got = await call("GET", "/v1/kv/a", headers=RAW)
    assert got.headers["x-kv-metadata"] == '{"a":"\\u00e9"}'
    clock.move(59)
    assert (await call("HEAD", "/v1/kv/a", headers=RAW)).status_code == 200
    clock.move(1)
    assert (await call("HEAD", "/v1/kv/a", headers=RAW)).status_code == 404
    at = int(clock()) + 10
    url = f"/v1/kv?key=a&expires_at={at}"
    assert (await call("PUT", url, content=b"x", headers=fields)).status_code == 200
    url = f"/v1/kv/a?expires_at={at}.5&precise=true"
    assert (await call("PUT", url, content=b"x", headers=fields)).status_code == 200
    clock.move(10.4)
    assert (await call("HEAD", "/v1/kv/a", headers=RAW)).status_code == 200


@on_one_storage
@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("ttl=0", "ttl"),
        ("ttl=1.5", "ttl"),
        ("ttl=", "ttl"),
        ("ttl=x", "ttl"),
        ("expires_at=1", "expires_at"),
        ("expires_at=soon", "expires_at"),
        ("expires_at=99999999999.5", "expires_at"),
        ("expires_at=999999999999999", "expires_at"),
        ("ttl=1&expires_at=99999999999", "expires_at"),
        ("metadata={}", "metadata"),
        ("precise=yes", "precise"),
    ],
)
async def test_a_wrong_parameter_is_refused(call: Caller, query: str, name: str) -> None:
    answer = await call(
        "PUT", f"/v1/kv/a?{query}", content=b"x", headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 400, answer.text
    (detail,) = answer.json()["errors"]
    assert (detail["location"], detail["path"]) == ("query", [name])


@on_one_storage
@pytest.mark.parametrize(
    "text", ["", "1", "[]", "{", '{"a": "' + "x" * 1024 + '"}', '{"a":"\xff"}']
)
async def test_wrong_metadata_is_refused(call: Caller, text: str) -> None:
    fields = {
        b"Content-Type": b"text/plain",
        b"X-KV-Metadata": text.encode("latin-1"),
        b"Authorization": b"Bearer test-key",
    }
    answer = await call.server.request("PUT", "/v1/kv/a", content=b"x", headers=fields)
    assert answer.status_code == 400, answer.text
    (detail,) = answer.json()["errors"]
    assert (detail["location"], detail["path"]) == ("header", ["x-kv-metadata"])


async def test_a_json_body_has_its_lifetime_inside(call: Caller) -> None:
    answer = await call("PUT", "/v1/kv/a?ttl=1", json={"value": 1})
    assert answer.status_code == 400
    assert "Expected ttl in the JSON of the body" in answer.text


async def test_preconditions_and_limits_are_those_of_every_put(call: Caller) -> None:
    fields = {"Content-Type": "text/plain"}
    only_new = fields | {"If-None-Match": "*"}
    assert (await call("PUT", "/v1/kv/a", content=b"1x", headers=only_new)).status_code == 200
    assert (await call("PUT", "/v1/kv/a", content=b"2x", headers=only_new)).status_code == 412
    short = fields | {"Prefer": "return=minimal"}
    minimal = await call("PUT", "/v1/kv/a", content=b"[3]", headers=short)
    assert minimal.json()["data"] is None
    too_long = b"x" * (call.server.options.limits.value_bytes + 1)
    assert (await call("PUT", "/v1/kv/a", content=too_long, headers=fields)).status_code == 413
    assert (await call.data("GET", "/v1/kv/a")) == [3]


async def test_bytes_stay_bytes_even_if_they_are_json(call: Caller) -> None:
    raw = {"Content-Type": "application/octet-stream"}
    for query, status in (("", 200), ("?bytes=false", 200), ("?bytes=true", 406)):
        answer = await call("PUT", f"/v1/kv/a{query}", content=b"[1]", headers=raw)
        assert answer.status_code == 200
        assert (await call("GET", "/v1/kv/a")).status_code == status
    answer = await call("PUT", "/v1/kv/a?bytes=true", json={"value": 1})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == ["bytes"]
