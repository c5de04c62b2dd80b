"""Test the forms, limits and codes of Cloudflare's REST API. Its clients are in tests/clients."""

import base64
import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caller import API_KEY, Caller, make_server, on_one_storage
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock

from .conftest import NAMESPACES, Rest, failure

pytestmark = pytest.mark.anyio


# Values


@pytest.mark.parametrize(
    "value", [b"", b"hello", b"\x00\xff", b'{"a": 1}\n', b" 1 ", b"\xef\xbb\xbf1"]
)
async def test_bytes_come_back_as_they_were(rest: Rest, value: bytes) -> None:
    assert await rest.result("PUT", "/values/a", content=value) == {}
    answer = await rest("GET", "/values/a")
    assert (answer.status_code, answer.content) == (200, value)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert (await rest("HEAD", "/values/a")).headers["content-length"] == str(len(value))


async def test_what_is_json_reads_natively_and_the_other_way(rest: Rest) -> None:
    space = f"namespace={rest.id}"
    await rest.result("PUT", "/values/a", content=b' {"a": [1, 2.50]}\n')
    assert await rest.call.data("GET", f"/v1/kv/a?{space}") == {"a": [1, 2.5]}
    await rest.call.data(
        "PUT", f"/v1/kv/b?{space}", json={"value": {"ä": None}, "metadata": {"m": 1}}
    )
    assert (await rest("GET", "/values/b")).content == '{"ä":null}'.encode()
    assert await rest.result("GET", "/metadata/b") == {"m": 1}
    await rest.result("PUT", "/values/c", content=b"{]")
    answer = await rest.call("GET", f"/v1/kv/c?{space}")
    assert answer.status_code == 406
    bytes_of = {"Accept": "application/octet-stream"}
    assert (await rest.call("GET", f"/v1/kv/c?{space}", headers=bytes_of)).content == b"{]"


async def test_changes_by_the_native_api_are_ordinary_entries(
    rest: Rest, clock: MovedClock
) -> None:
    space = f"namespace={rest.id}"
    await rest.call.data("PATCH", f"/v1/kv/n?{space}", json={"increment": 2, "ttl": 600})
    assert (await rest("GET", "/values/n")).content == b"2"
    (listed,) = await rest.result("GET", "/keys")
    assert listed == {"name": "n", "expiration": int(clock()) + 600}
    await rest.call.data("PATCH", f"/v1/kv/n?{space}", json={"expires_at": None})
    await rest.call.data("PATCH", f"/v1/kv/n?{space}", json={"metadata": {"m": 1}})
    assert await rest.result("GET", "/keys") == [{"name": "n", "metadata": {"m": 1}}]
    raw = {"Content-Type": "image/png"}
    await rest.call("PUT", f"/v1/kv/raw?{space}", content=b"\x89PNG", headers=raw)
    assert (await rest("GET", "/values/raw")).content == b"\x89PNG"
    await rest.result("PUT", "/values/job", content=b"\xff")
    taken = await rest.call(
        "DELETE",
        f"/v1/kv/job?take=true&{space}",
        headers={"Accept": "application/octet-stream"},
    )
    assert taken.content == b"\xff"
    assert (await rest("GET", "/values/job")).status_code == 404


@given(value=st.binary(max_size=200))
async def test_any_bytes_come_back_through_both_apis(value: bytes) -> None:
    async with make_server(MemoryStorage()) as server:
        rest = Rest(Caller(server), "0" * 32)
        await rest.result("PUT", "/values/a", content=value)
        assert (await rest("GET", "/values/a")).content == value
        native = await rest.call("GET", "/v1/kv/a")
        try:
            assert native.json()["data"] == json.loads(value)
        except (ValueError, KeyError, RecursionError):
            assert native.status_code == 406


async def test_a_put_replaces_everything(rest: Rest, clock: MovedClock) -> None:
    form = {"value": ("upload", b"v", "application/octet-stream"), "metadata": (None, b'{"m":1}')}
    await rest.result("PUT", "/values/a?expiration_ttl=60", files=form)
    assert await rest.result("GET", "/metadata/a") == {"m": 1}
    assert (await rest("GET", "/values/a")).headers["expiration"] == str(int(clock.now) + 60)
    await rest.result("PUT", "/values/a", content=b"w")
    assert await rest.result("GET", "/metadata/a") is None
    assert "expiration" not in (await rest("GET", "/values/a")).headers


@pytest.mark.parametrize(
    "metadata", [b"{}", b'"text"', b"[1, 2]", b"true", b"1.50", b' {"a" : "\xc3\xa4"} ']
)
async def test_metadata_is_any_json(rest: Rest, metadata: bytes) -> None:
    await rest.result("PUT", "/values/a", files={"value": b"v", "metadata": metadata})
    assert await rest.result("GET", "/metadata/a") == json.loads(metadata)
    [listed] = await rest.result("GET", "/keys")
    assert listed == {"name": "a", "metadata": json.loads(metadata)}


async def test_a_json_body_is_the_value_even_with_the_fields_of_a_form(rest: Rest) -> None:
    body = b'{"metadata":"{\\"x\\": 1}","value":"text"}'
    headers = {"Content-Type": "application/json"}
    await rest.result("PUT", "/values/a", content=body, headers=headers)
    assert (await rest("GET", "/values/a")).content == body
    assert await rest.result("GET", "/metadata/a") is None


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "text/plain", "application/json", None]
)
async def test_parts_of_a_form_may_be_fields_or_files(
    rest: Rest, kind: str | None, named: bool
) -> None:
    lines = [b"--b"]
    for name, value in ((b"value", b"\r\n--x\r\n\0"), (b"metadata", b'{"a":1}')):
        lines.append(b'Content-Disposition: form-data; name="%b"' % name)
        lines[-1] += b'; filename="upload"' if named else b""
        lines += [b"Content-Type: " + kind.encode()] if kind else []
        lines += [b"", value, b"--b"]
    body = b"\r\n".join(lines) + b"--\r\n"
    headers = {"Content-Type": 'multipart/form-data; boundary="b"'}
    await rest.result("PUT", "/values/a", content=body, headers=headers)
    assert (await rest("GET", "/values/a")).content == b"\r\n--x\r\n\0"
    assert await rest.result("GET", "/metadata/a") == {"a": 1}


@on_one_storage
@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b"--b", "multipart/form-data", "no boundary"),
        (b"", "multipart/form-data; boundary=b", "not whole"),
        (b"nonsense", "multipart/form-data; boundary=b", "malformed"),
        (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", "named value"),
        (
            b'--b\r\nContent-Disposition: form-data; name="value"\r\n\r\nx',
            "multipart/form-data; boundary=b",
            "not whole",
        ),
        (
            b"".join(
                b"--b\r\nContent-Disposition: form-data; name=%d\r\n\r\n\r\n" % n
                for n in range(200)
            ),
            "multipart/form-data; boundary=b",
            "more than 100 parts",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="value"\r\n\r\nx\r\n' * 2 + b"--b--\r\n",
            "multipart/form-data; boundary=b",
            "twice",
        ),
    ],
)
async def test_a_form_that_is_not_whole_is_refused(
    rest: Rest, body: bytes, content_type: str, words: str
) -> None:
    status, code, message = await rest.refused(
        "PUT", "/values/a", content=body, headers={"Content-Type": content_type}
    )
    assert (status, code) == (400, 10012)
    assert words in message
    assert (await rest("GET", "/values/a")).status_code == 404


async def test_a_large_form_comes_in_whole(rest: Rest) -> None:
    value = bytes(range(256)) * 4096 * 25
    await rest.result("PUT", "/values/a", files={"value": ("upload", value)})
    assert (await rest("GET", "/values/a")).content == value
    status, code, _ = await rest.refused("PUT", "/values/a", files={"value": ("u", value + b"x")})
    assert (status, code) == (413, 10024)
    assert (await rest("GET", "/values/a")).content == value


async def test_deleting_what_is_not_there_is_no_error(rest: Rest) -> None:
    await rest.result("PUT", "/values/a", content=b"v")
    headers = {"Content-Type": "application/json"}
    for _ in range(2):
        assert await rest.result("DELETE", "/values/a", headers=headers) == {}
    not_found = (404, 10009, "get: 'key not found'")
    assert await rest.refused("GET", "/values/a") == not_found
    assert (await rest.refused("GET", "/metadata/a"))[:2] == (404, 10009)


async def test_preconditions_are_ours_and_work(rest: Rest) -> None:
    version = (await rest("PUT", "/values/a", content=b"1")).headers["etag"]
    assert (await rest("GET", "/values/a", headers={"If-None-Match": version})).status_code == 304
    new = await rest("PUT", "/values/a", content=b"2", headers={"If-Match": version})
    assert new.status_code == 200
    for headers in ({"If-Match": version}, {"If-None-Match": "*"}):
        status, code, _ = await rest.refused("PUT", "/values/a", content=b"3", headers=headers)
        assert (status, code) == (412, 412)
    assert (await rest("DELETE", "/values/a", headers={"If-Match": version})).status_code == 412
    assert (await rest("GET", "/values/a")).content == b"2"


# Limits


@on_one_storage
@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        (
            "expiration_ttl=59",
            10034,
            "Invalid expiration_ttl of 59. Expiration TTL must be at least 60.",
        ),
        ("expiration_ttl=0", 10034, "at least 60"),
        ("expiration_ttl=-1", 10034, "at least 60"),
        ("expiration_ttl=1.5", 10034, "specify integer"),
        ("expiration_ttl=--60", 10034, "specify integer"),
        ("expiration_ttl=", 10034, "specify integer"),
        ("expiration_ttl=99999999999", 10034, "below 2^31"),
        ("expiration=59", 10033, "at least 60 seconds in the future"),
        ("expiration=1800000059", 10033, "at least 60 seconds in the future"),
        ("expiration=x", 10033, "specify integer"),
        ("expiration=9999999999", 10033, "below 2^32"),
    ],
)
async def test_lifetimes_have_cloudflares_limits(
    rest: Rest, query: str, code: int, words: str
) -> None:
    status, got, message = await rest.refused("PUT", f"/values/a?{query}", content=b"v")
    assert (status, got) == (400, code)
    assert message.startswith("put: '")
    assert words in message
    assert (await rest("GET", "/values/a")).status_code == 404


async def test_a_ttl_wins_over_an_expiration(rest: Rest, clock: MovedClock) -> None:
    query = "expiration=1900000000&expiration_ttl=60&unknown=ignored"
    await rest.result("PUT", f"/values/a?{query}", content=b"v")
    clock.move(60)
    assert (await rest("GET", "/values/a")).status_code == 404


async def test_an_expiration_is_compared_in_whole_seconds(rest: Rest, clock: MovedClock) -> None:
    second = int(clock.now)
    clock.move(0.999)
    for at, status in ((second + 60, 200), (second + 59, 400)):
        single = await rest("PUT", f"/values/a?expiration={at}", content=b"v")
        many = await rest("PUT", "/bulk", json=[{"key": "b", "value": "v", "expiration": at}])
        assert (single.status_code, many.status_code) == (status, status)
    assert [one["expiration"] for one in await rest.result("GET", "/keys")] == [second + 60] * 2


async def test_keys_have_cloudflares_limits(rest: Rest) -> None:
    for key in ("a" * 512, "é" * 256, "...", "a/./b"):
        await rest.result("PUT", f"/values/{key.replace('/', '%2F')}", content=b"v")
    assert await rest.refused("PUT", f"/values/{'a' * 513}", content=b"v") == (
        414,
        10030,
        "put: 'key too long: The key has 513 bytes; at most 512 are allowed'",
    )
    for key in ("", "%2E", "%2e%2E", "%ff"):
        status, code, _ = await rest.refused("PUT", f"/values/{key}", content=b"v")
        assert (status, code) in {(400, 10042), (400, 10029)}


async def test_metadata_has_cloudflares_limits(rest: Rest) -> None:
    fits = json.dumps({"m": "x" * 1016}, separators=(",", ":")).encode()
    assert len(fits) == 1024
    await rest.result("PUT", "/values/a", files={"value": b"v", "metadata": fits})
    for metadata, expected in (
        (fits.replace(b"x", b"xx", 1), (413, 10024)),
        (b"{", (400, 10047)),
        (b"", (400, 10047)),
        (b'"\xff"', (400, 10047)),
    ):
        form = {"value": b"w", "metadata": metadata}
        assert (await rest.refused("PUT", "/values/a", files=form))[:2] == expected
    assert (await rest("GET", "/values/a")).content == b"v"


async def test_relaxed_limits_are_ours(relaxed: Rest, clock: MovedClock) -> None:
    key = "k" * 2048
    await relaxed.result("PUT", f"/values/{key}?expiration_ttl=1", content=b"v")
    assert len(await relaxed.result("GET", "/keys?limit=1")) == 1
    clock.move(1)
    assert (await relaxed("GET", f"/values/{key}")).status_code == 404
    await relaxed.result("PUT", "/values/%2E%2E", content=b"v")
    clock.move(0.999)
    await relaxed.result("PUT", f"/values/a?expiration={int(clock.now) + 1}", content=b"v")
    status, code, message = await relaxed.refused("PUT", "/values/a?expiration_ttl=0", content=b"v")
    assert (status, code) == (400, 10034)
    assert "at least 1." in message


# Keys


async def test_keys_are_listed_by_pages_in_the_order_of_their_bytes(rest: Rest) -> None:
    keys = [f"é{number:02}" for number in range(25)] + ["z", "A"]
    pairs = [{"key": key, "value": "v"} for key in keys]
    await rest.result("PUT", "/bulk", json=pairs)
    found: list[str] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        answer = (await rest("GET", f"/keys?limit=10&cursor={cursor}")).json()
        assert answer["result_info"]["count"] == len(answer["result"]) > 0
        found += [one["name"] for one in answer["result"]]
        cursor, pages = answer["result_info"]["cursor"], pages + 1
    assert (found, pages) == (sorted(keys), 3)
    listed = await rest.result("GET", "/keys?prefix=%C3%A91")
    assert [one["name"] for one in listed] == [f"é{number}" for number in range(10, 20)]
    assert (await rest("GET", "/keys?prefix=nothing")).json()["result_info"] == {
        "count": 0,
        "cursor": "",
    }


@on_one_storage
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=9", 10028),
        ("limit=1001", 10028),
        ("limit=x", 10028),
        ("cursor=!", 10041),
        ("cursor=%FF", 10029),
        (f"cursor={base64.urlsafe_b64encode(b'other').decode()}&prefix=a", 10041),
    ],
)
async def test_what_cannot_be_listed_is_refused(rest: Rest, query: str, code: int) -> None:
    assert (await rest.refused("GET", f"/keys?{query}"))[:2] == (400, code)


# Bulk


async def test_many_are_written_read_and_deleted(rest: Rest, clock: MovedClock) -> None:
    pairs = [
        {"key": "a", "value": '{"x":1}', "metadata": {"m": 1}, "expiration_ttl": 60},
        {"key": "b", "value": "AAH/", "base64": True, "metadata": None},
        {"key": "c", "value": "ü\n", "expiration": int(clock.now) + 90, "base64": False},
        {"key": "c", "value": "again"},
    ]
    done = {"successful_key_count": 4, "unsuccessful_keys": []}
    assert await rest.result("PUT", "/bulk", content=json.dumps(pairs)) == done
    assert (await rest("GET", "/values/b")).content == b"\x00\x01\xff"
    asked: dict[str, Any] = {"keys": ["a", "c", "none", "a"]}
    assert await rest.result("POST", "/bulk/get", json=asked) == {
        "values": {"a": '{"x":1}', "c": "again", "none": None}
    }
    asked |= {"keys": ["a", "none"], "type": "json", "withMetadata": True}
    found = {"value": {"x": 1}, "metadata": {"m": 1}, "expiration": int(clock.now) + 60}
    assert await rest.result("POST", "/bulk/get", json=asked) == {
        "values": {"a": found, "none": None}
    }
    for method, path in (("DELETE", "/bulk"), ("POST", "/bulk/delete")):
        gone = {"successful_key_count": 2, "unsuccessful_keys": []}
        assert await rest.result(method, path, json=["a", "none"]) == gone
    assert [one["name"] for one in await rest.result("GET", "/keys")] == ["b", "c"]


@on_one_storage
@pytest.mark.parametrize(
    ("pair", "code", "words"),
    [
        ({"key": "", "value": "v"}, 10042, "pair 1: illegal key name"),
        ({"key": "k" * 513, "value": "v"}, 10030, "pair 1: key too long"),
        ({"key": "k", "value": 1}, 10012, "not a string"),
        ({"key": "k", "value": "!", "base64": True}, 10012, "not base64"),
        ({"key": "k", "value": "v", "expiration_ttl": 59}, 10034, "at least 60"),
        ({"key": "k", "value": "v", "expiration": 1}, 10033, "in the future"),
        ({"key": "k", "value": "v", "metadata": "x" * 1024}, 10024, "exceeds limit"),
        ({"key": "k"}, 10012, "value"),
        ("k", 10012, "parse"),
    ],
)
async def test_one_wrong_pair_refuses_them_all(
    rest: Rest, pair: object, code: int, words: str
) -> None:
    body = json.dumps([{"key": "good", "value": "v"}, pair])
    _, got, message = await rest.refused("PUT", "/bulk", content=body)
    assert got == code
    assert words in message
    assert await rest.result("GET", "/keys") == []


async def test_bulk_has_cloudflares_limits(rest: Rest) -> None:
    many = [{"key": str(number), "value": ""} for number in range(10_001)]
    assert (await rest.refused("PUT", "/bulk", json=many))[:2] == (400, 10029)
    keys = [one["key"] for one in many]
    assert (await rest.refused("POST", "/bulk/delete", json=keys))[:2] == (400, 10029)
    for count in (0, 101):
        asked = {"keys": keys[:count]}
        assert (await rest.refused("POST", "/bulk/get", json=asked))[:2] == (400, 10029)
    result = await rest.result("PUT", "/bulk", json=many[:10_000])
    assert result["successful_key_count"] == 10_000


async def test_a_bulk_get_refuses_what_is_not_text_or_too_much(rest: Rest) -> None:
    await rest.result("PUT", "/values/bytes", content=b"\xff")
    for kind in ("text", "json"):
        asked = {"keys": ["bytes"], "type": kind}
        assert (await rest.refused("POST", "/bulk/get", json=asked))[:2] == (400, 10029)
    asked = {"keys": ["bytes"], "type": "arrayBuffer"}
    assert (await rest.refused("POST", "/bulk/get", json=asked))[:2] == (400, 10029)
    for key in ("a", "b"):
        await rest.result("PUT", f"/values/{key}", content=b"x" * 15_000_000)
    assert (await rest.refused("POST", "/bulk/get", json={"keys": ["a", "b"]}))[:2] == (413, 10024)


# Namespaces


async def test_namespaces_are_made_listed_renamed_and_deleted(call: Caller) -> None:
    for title in ("two", "one"):
        assert (await call("POST", NAMESPACES, json={"title": title})).status_code == 200
    answer = (await call("GET", f"{NAMESPACES}?order=title&direction=desc&per_page=2")).json()
    assert [one["title"] for one in answer["result"]] == ["two", "one"]
    assert answer["result_info"] == {
        "page": 1,
        "per_page": 2,
        "count": 2,
        "total_count": 3,
        "total_pages": 2,
    }
    id = answer["result"][1]["id"]
    described = {"id": id, "title": "three", "supports_url_encoding": True}
    path = f"{NAMESPACES}/{id}"
    assert (await call("PUT", path, json={"title": "three"})).json()["result"] == described
    assert (await call("GET", path)).json()["result"] == described
    assert (await call("DELETE", path)).json()["result"] is None
    for method, body in (("GET", {}), ("DELETE", {}), ("PUT", {"json": {"title": "x"}})):
        status, code, message = failure(await call(method, path, **body))
        assert (status, code) == (404, 10013)
        assert message.endswith("'namespace not found'")
    # Past the last page, pages are empty, for clients that read until then.
    assert (await call("GET", f"{NAMESPACES}?page=2")).json()["result"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "", {"title": "one"}, (400, 10014)),
        ("POST", "", {"title": "default"}, (400, 10014)),
        ("POST", "", {"title": ""}, (400, 10019)),
        ("POST", "", {}, (400, 10019)),
        ("POST", "", {"title": "x" * 513}, (400, 10029)),
        ("POST", "", [], (400, 10012)),
        ("PUT", f"/{'0' * 32}", {"title": "x"}, (400, 10029)),
        ("DELETE", f"/{'0' * 32}", None, (400, 10029)),
        ("GET", "/one", None, (400, 10011)),
        ("GET", "?order=size", None, (400, 10043)),
        ("GET", "?direction=up", None, (400, 10044)),
        ("GET", "?page=0", None, (400, 10029)),
        ("GET", "?per_page=x", None, (400, 10029)),
        ("PATCH", "", None, (405, 7001)),
        ("GET", f"/{'0' * 32}/nothing", None, (404, 7003)),
        ("GET", f"/{'0' * 32}/keys/a", None, (404, 7003)),
        ("PUT", f"/{'0' * 32}/keys", None, (405, 7001)),
        ("GET", f"/{'0' * 32}/bulk/get", None, (405, 7001)),
    ],
)
async def test_what_is_wrong_has_cloudflares_code(
    rest: Rest, method: str, path: str, body: Any, expected: tuple[int, int]
) -> None:
    answer = await rest.call(method, NAMESPACES + path, json=body)
    status, code, _ = failure(answer)
    assert (status, code) == expected
    assert ("allow" in answer.headers) is (status == 405)


async def test_other_paths_below_are_no_routes(call: Caller) -> None:
    for path in ("", "users", "accounts/a/d1/database", "accounts/a/storage/kv", "user/tokens"):
        status, code, message = failure(await call("GET", f"/client/v4/{path}"))
        assert (status, code) == (404, 7003)
        assert "Could not route to /client/v4/" in message


async def test_accounts_have_namespaces_of_their_own() -> None:
    storage = MemoryStorage()
    async with make_server(storage, cloudflare={"accounts": ["first", "second"]}) as server:
        call = Caller(server)

        def of(account: str) -> str:
            return NAMESPACES.replace("any", account)

        ids = {}
        for account in ("first", "second"):
            made = (await call("POST", of(account), json={"title": "same"})).json()["result"]
            ids[account] = made["id"]
            again = await call("POST", of(account), json={"title": "same"})
            assert failure(again)[:2] == (400, 10014)
        titles = {
            account: [one["title"] for one in (await call("GET", of(account))).json()["result"]]
            for account in ids
        }
        assert sorted(titles["first"]) == ["default", "same"]
        assert titles["second"] == ["same"]
        foreign = await call("GET", f"{of('second')}/{ids['first']}/keys")
        assert failure(foreign)[:2] == (404, 10013)
        assert failure(await call("GET", of("third")))[:2] == (404, 7003)
        # If two namespaces have a title, the native API asks for the id.
        assert (await call("GET", "/v1/kv?namespace=same")).status_code == 400
        assert (await call("GET", f"/v1/kv?namespace={ids['second']}")).status_code == 200


async def above(call: Caller, path: str, **headers: str) -> Any:
    answer = await call("GET", f"/client/v4/{path}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_one_account_is_listed_where_any_id_will_do(call: Caller) -> None:
    listed = await above(call, "accounts")
    [account] = listed["result"]
    assert account == {"id": "0" * 32, "name": "workertown-kv", "type": "standard"}
    assert listed["result_info"]["total_count"] == 1
    [member] = (await above(call, "memberships"))["result"]
    assert (member["status"], member["account"]) == ("accepted", account)
    # Clients ask for pages until a page is empty.
    for path in ("accounts", "memberships"):
        assert (await above(call, f"{path}?page=2&per_page=50"))["result"] == []
    assert (await above(call, f"accounts/{account['id']}"))["result"] == account
    assert (await above(call, "accounts/any"))["result"] == {**account, "id": "any"}
    spaces = f"accounts/{account['id']}/storage/kv/namespaces"
    assert [one["title"] for one in (await above(call, spaces))["result"]] == ["default"]


async def test_a_client_can_ask_who_it_is(call: Caller) -> None:
    for path in ("user/tokens/verify", "accounts/any/tokens/verify"):
        verified = (await above(call, path))["result"]
        assert verified == {"id": "api_key", "status": "active"}
    assert (await above(call, "user"))["result"] == {"id": "api_key", "email": "api_key"}
    for path in ("accounts", "memberships", "user", "user/tokens/verify"):
        wrong = await call("GET", f"/client/v4/{path}", headers={"Authorization": "Bearer wrong"})
        assert failure(wrong) == (401, 10000, "Authentication error")
        assert failure(await call("POST", f"/client/v4/{path}"))[:2] == (405, 7001)


async def test_accounts_are_shown_to_those_who_may_use_a_namespace_of_theirs() -> None:
    storage = MemoryStorage()
    ids: dict[str, str] = {}
    accounts = ["first", "second", "third"]
    async with make_server(storage, cloudflare={"accounts": accounts}) as server:
        for account in accounts[:2]:
            path = NAMESPACES.replace("any", account)
            made = await Caller(server)("POST", path, json={"title": account})
            ids[account] = made.json()["result"]["id"]
    scopes = {
        "all": None,
        "everywhere": [{"verbs": ["read"]}],
        "of second": [{"verbs": ["read"], "namespaces": [ids["second"]]}],
        "of first": [{"verbs": ["list"], "namespaces": ["default"]}],
        "of none": [{"verbs": ["read"], "namespaces": ["f" * 32]}],
    }
    keys = [
        {"name": name, "api_key": name, **({} if some is None else {"scopes": some})}
        for name, some in scopes.items()
    ]
    auth = {"api_key": {"api_keys": keys}}
    async with make_server(storage, cloudflare={"accounts": accounts}, auth=auth) as server:
        call = Caller(server)
        seen = {}
        for name in scopes:
            listed = await above(call, "accounts", Authorization=f"Bearer {name}")
            seen[name] = [one["id"] for one in listed["result"]]
            for account in accounts:
                headers = {"Authorization": f"Bearer {name}"}
                one = await call("GET", f"/client/v4/accounts/{account}", headers=headers)
                assert one.status_code == (200 if account in seen[name] else 404)
    assert seen == {
        "all": accounts,
        "everywhere": accounts,
        "of second": ["second"],
        "of first": ["first"],
        "of none": [],
    }


# Authentication


AUTH = {
    "api_key": {"api_key": API_KEY},
    "basic": {"username": "ada@example.com", "password": "engine"},
}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": f"Bearer {API_KEY}"}, 200),
        ({"X-Auth-Key": API_KEY}, 200),
        ({"X-Auth-Key": API_KEY, "X-Auth-Email": "who@ever"}, 200),
        ({"X-Auth-User-Service-Key": API_KEY}, 200),
        ({"X-Auth-Key": "engine", "X-Auth-Email": "ada@example.com"}, 200),
        ({"Authorization": "Bearer ada@example.com:engine"}, 200),
        ({"Authorization": f"Basic {b64encode(b'ada@example.com:engine').decode()}"}, 200),
        ({"Authorization": "Bearer wrong", "X-Auth-Key": API_KEY}, 200),
        ({}, 401),
        ({"X-Auth-Key": ""}, 401),
        ({"X-Auth-Key": "wrong", "X-Auth-Email": "ada@example.com"}, 401),
        ({"X-Auth-Email": "ada@example.com"}, 401),
        ({"X-Auth-Key": "engine"}, 401),
        ({"Authorization": "Bearer ada@example.com:wrong"}, 401),
        ({"X-Auth-User-Service-Key": "wrong"}, 401),
    ],
)
async def test_credentials_come_in_each_form(headers: dict[str, str], status: int) -> None:
    async with make_server(MemoryStorage(), auth=AUTH) as server:
        answer = await server.request("GET", NAMESPACES, headers=headers)
        assert answer.status_code == status
        if status == 401:
            assert failure(answer) == (401, 10000, "Authentication error")
        # Only Cloudflare's API accepts these forms, and not the native API.
        native = await server.request("GET", "/v1/kv", headers=headers)
        plain = headers.get("Authorization") == f"Bearer {API_KEY}" or "Basic" in str(headers)
        assert native.status_code == (200 if plain else 401)


async def test_scopes_hold_here_too() -> None:
    scopes = [{"verbs": ["read", "list"], "prefixes": ["a/"], "namespaces": ["default"]}]
    auth = {"api_key": {"api_keys": [{"name": "one", "api_key": API_KEY, "scopes": scopes}]}}
    storage = MemoryStorage({"a/b": 1, "c": 2})
    async with make_server(storage, auth=auth) as server:
        rest = Rest(Caller(server), "0" * 32)
        assert (await rest("GET", "/values/a%2Fb")).content == b"1"
        assert [one["name"] for one in await rest.result("GET", "/keys")] == ["a/b"]
        assert [one["title"] for one in (await rest.call("GET", NAMESPACES)).json()["result"]] == [
            "default"
        ]
        for method, path, body in (
            ("GET", "/values/c", None),
            ("PUT", "/values/a%2Fb", "x"),
            ("DELETE", "/values/a%2Fb", None),
            ("PUT", "/bulk", '[{"key":"a/c","value":"v"}]'),
            ("POST", "/bulk/delete", '["a/b"]'),
            ("POST", "/bulk/get", '{"keys":["a/b","c"]}'),
            ("PUT", "", '{"title":"x"}'),
            ("DELETE", "", None),
        ):
            given = {"content": body, "headers": {"Content-Type": "application/json"}}
            status, code, _ = await rest.refused(method, path, **given)
            assert (status, code) == (403, 10000)
