"""Test how Cloudflare's two APIs turn requests into operations, and results into answers.

The limits and their codes are tested in `test_rest.py` and `test_binding.py`.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workertown_kv.endpoints.cloudflare.binding import codec as binding
from workertown_kv.endpoints.cloudflare.bulk_get import (
    BulkGetBody,
    batch_of,
    decode_bulk_get,
    encode_values,
)
from workertown_kv.endpoints.cloudflare.errors import CloudflareError
from workertown_kv.endpoints.cloudflare.limits import Limits
from workertown_kv.endpoints.cloudflare.listing import decode_list, encode_cursor
from workertown_kv.endpoints.cloudflare.put import PutHead, decode_put
from workertown_kv.endpoints.cloudflare.rest import bulk, keys, namespaces, pages, value
from workertown_kv.endpoints.cloudflare.rest.form import Form
from workertown_kv.endpoints.cloudflare.rest.routes import parse_path
from workertown_kv.entry import Entry, KeyInfo
from workertown_kv.errors import Forbidden, PreconditionFailed, StorageError, ValueTooLarge
from workertown_kv.http.answer import Answer
from workertown_kv.http.exchange import AsgiExchange, Exchange
from workertown_kv.http.memory import Memory
from workertown_kv.operations import Batch, Delete, Get, List, Page, Precondition, Set
from workertown_kv.options import Options
from workertown_kv.user import Scope, User

pytestmark = pytest.mark.anyio

NAMESPACES = "accounts/{account_id}/storage/kv/namespaces"
NAMESPACE = f"{NAMESPACES}/{{namespace_id}}"
LIMITS = Limits.of(Options())
USER = User(id="u", strategy="test")
READER = User(id="r", strategy="test", scopes=(Scope(verbs=("read",)),))
NOW = 1000.5
ENTRY = Entry(key="a", value=b"\xff", is_json=False, version="v1", expires_at=2.0, metadata=b"[1]")
PLAIN = Entry(key="b", value=b"1", version="v2")


def exchange(query: str = "", *, user: User = USER, **fields: str) -> Exchange:
    headers = [(name.replace("_", "-").encode(), text.encode()) for name, text in fields.items()]
    scope = {"type": "http", "path": "/a", "query_string": query.encode(), "headers": headers}
    made = AsgiExchange(scope, _no_message, _no_message, Memory(0))
    made.user = user
    return made


async def _no_message(*_: object) -> Any:
    raise AssertionError("nothing is read or sent")


def body(answer: Answer) -> Any:
    return json.loads(b"".join(answer.parts))


def code_of(refused: pytest.ExceptionInfo[CloudflareError]) -> tuple[int, int]:
    return refused.value.status, refused.value.code


# Single values


def test_an_entry_becomes_its_bytes_with_its_expiry_and_metadata_in_fields() -> None:
    answer = binding.encode_entry(ENTRY)
    assert list(answer.parts) == [b"\xff"]
    assert dict(answer.fields) == {
        b"content-type": b"application/octet-stream",
        b"cf-expiration": b"2",
        b"cf-kv-metadata": b"[1]",
    }
    assert len(binding.encode_entry(PLAIN).fields) == 1
    answer = value.encode_entry(exchange(), ENTRY)
    assert list(answer.parts) == [b"\xff"]
    assert dict(answer.fields) == {
        b"content-type": b"application/octet-stream",
        b"cache-control": b"no-cache",
        b"etag": b'"v1"',
        b"expiration": b"2",
    }
    assert value.encode_entry(exchange(if_none_match='"v1"'), ENTRY).status == 304
    assert body(value.encode_metadata(ENTRY))["result"] == [1]
    assert body(value.encode_metadata(PLAIN))["result"] is None


def test_a_key_without_a_value_is_404_with_cloudflares_code() -> None:
    for encode in (
        binding.encode_entry,
        value.encode_metadata,
        lambda entry: value.encode_entry(exchange(), entry),
    ):
        with pytest.raises(CloudflareError) as refused:
            encode(None)
        assert code_of(refused) == (404, 10009)


@pytest.mark.parametrize(
    ("query", "is_good"),
    [("", True), ("cache_ttl=30", True), ("cache_ttl=29", False), ("cache_ttl=-30", False)],
)
def test_workerd_may_ask_for_a_cache_but_not_for_a_short_one(query: str, is_good: bool) -> None:
    asked = json.dumps({"keys": ["a"], "cacheTtl": query[10:] or None}).encode()
    if is_good:
        binding.check_cache_ttl(exchange(query))
        assert binding.decode_keys(asked).keys == ["a"]
        return
    with pytest.raises(CloudflareError, match="Invalid cache_ttl"):
        binding.check_cache_ttl(exchange(query))
    with pytest.raises(CloudflareError, match="Invalid cache_ttl"):
        binding.decode_keys(asked)


@pytest.mark.parametrize(
    ("query", "expires_at"),
    [
        ("", None),
        ("expiration_ttl=60", NOW + 60),
        ("expiration=1060", 1060.0),
        ("expiration=1060&expiration_ttl=90", NOW + 90),
        ("urlencoded=true&expiration_ttl=90&expiration_ttl=60", NOW + 60),
    ],
)
def test_the_query_of_a_put_says_when_it_expires(query: str, expires_at: float | None) -> None:
    head = PutHead("n", "a", expires_at)
    assert binding.decode_head(exchange(query), "n", "a", LIMITS, NOW) == head
    assert value.decode_head(exchange(query), "n", "a", LIMITS, NOW) == head


def test_only_the_rest_api_takes_numbers_as_the_python_sdk_writes_them() -> None:
    put = exchange("expiration_ttl=60.0")
    assert value.decode_head(put, "n", "a", LIMITS, NOW).expires_at == NOW + 60
    with pytest.raises(CloudflareError) as refused:
        binding.decode_head(put, "n", "a", LIMITS, NOW)
    assert code_of(refused) == (400, 10034)


def test_a_put_is_checked_before_its_body_is_read() -> None:
    for decode in (binding.decode_head, value.decode_head):
        with pytest.raises(Forbidden):
            decode(exchange(user=READER), "n", "a", LIMITS, NOW)
    head = binding.decode_head(exchange(cf_kv_metadata='{"a": 1}'), "n", "a", LIMITS, NOW)
    assert head.metadata == b'{"a":1}'
    head = value.decode_head(exchange(if_match='"v1"'), "n", "a", LIMITS, NOW)
    assert head.precondition == Precondition(("v1",))


async def test_a_put_becomes_a_set_of_the_bytes_as_they_were_sent() -> None:
    head = PutHead("n", "a", 1060.0, b"{}", Precondition(("v1",)))
    for sent, is_json in ((b' {"x":1}\n', True), (b"dark", False), (b"\xff", False), (b"", False)):
        assert await decode_put(head, bytearray(sent), LIMITS) == Set(
            namespace="n",
            key="a",
            value=sent,
            is_json=is_json,
            metadata=b"{}",
            expires_at=1060.0,
            precondition=Precondition(("v1",)),
        )


async def test_the_metadata_of_a_form_is_kept_with_its_value() -> None:
    head = PutHead("n", "a")
    operation = await value.decode_form_put(head, Form(b"v", b'{"a": 1}'), LIMITS)
    assert (operation.value, operation.metadata) == (b"v", b'{"a":1}')
    assert (await value.decode_form_put(head, Form(b"v"), LIMITS)).metadata is None
    with pytest.raises(CloudflareError) as refused:
        await value.decode_form_put(head, Form(b"x" * (LIMITS.value_bytes + 1)), LIMITS)
    assert code_of(refused) == (413, 10024)


def test_a_put_answers_with_the_version_and_a_delete_may_have_a_precondition() -> None:
    assert (b"etag", b'"v1"') in value.encode_version("v1").fields
    operation = value.decode_delete(exchange(if_match='"v1"'), "n", "a")
    assert operation == Delete("n", "a", Precondition(("v1",)))


# Listings


@given(prefix=st.text(max_size=9), cursor=st.none() | st.text(min_size=1, max_size=20))
def test_a_cursor_comes_back_as_it_was_given(prefix: str, cursor: str | None) -> None:
    asked = {"prefix": prefix, "cursor": encode_cursor(cursor)}
    assert decode_list("n", asked, 7) == List("n", prefix, 7, cursor)


@pytest.mark.parametrize("cursor", ["!", "ä", "YQ", "/w=="])
def test_a_cursor_that_no_page_gave_is_refused(cursor: str) -> None:
    with pytest.raises(CloudflareError) as refused:
        decode_list("n", {"cursor": cursor}, 1)
    assert code_of(refused) == (400, 10041)


def test_a_query_lists_a_page_of_the_size_that_each_api_allows() -> None:
    assert keys.decode_listing({"limit": "10"}, "n", LIMITS) == List("n", "", 10)
    assert binding.decode_listing(exchange("key_count_limit=1"), "n", LIMITS) == List("n", "", 1)
    assert binding.decode_listing(exchange("limit=5"), "n", LIMITS).limit == 1000
    with pytest.raises(CloudflareError) as refused:
        keys.decode_listing({"limit": "9"}, "n", LIMITS)
    assert code_of(refused) == (400, 10028)


def test_a_page_of_keys_has_what_each_api_calls_a_key() -> None:
    infos = [
        KeyInfo(key="a", version="v1"),
        KeyInfo(key="b", version="v2", expires_at=2.0, metadata=b'{"m":1}'),
    ]
    shown = body(keys.encode_page(Page(infos, "b")))
    assert shown["result"] == [{"name": "a"}, {"name": "b", "expiration": 2, "metadata": {"m": 1}}]
    assert shown["result_info"] == {"count": 2, "cursor": "Yg=="}
    assert body(keys.encode_page(Page(infos)))["result_info"]["cursor"] == ""
    shown = body(binding.encode_page(Page(infos, "b")))
    assert shown == {
        "keys": [{"name": "a"}, {"name": "b", "expiration": 2, "metadata": '{"m":1}'}],
        "list_complete": False,
        "cursor": "Yg==",
        "cacheStatus": None,
    }
    last = body(binding.encode_page(Page([])))
    assert last == {"keys": [], "list_complete": True, "cacheStatus": None}


@given(count=st.integers(0, 50), per_page=st.integers(1, 20))
def test_the_pages_of_a_list_have_every_item_once_and_end_with_an_empty_page(
    count: int, per_page: int
) -> None:
    found: list[int] = []
    for page in range(1, count + 2):
        asked = {"page": str(page), "per_page": str(per_page)}
        shown = body(pages.encode_list(asked, list(range(count))))
        assert shown["result_info"]["total_count"] == count
        assert len(shown["result"]) == shown["result_info"]["count"]
        found += shown["result"]
        if page > shown["result_info"]["total_pages"]:
            assert shown["result"] == []
    assert found == list(range(count))


# Bulk requests


def test_a_bulk_get_reads_each_key_once() -> None:
    asked = decode_bulk_get(b'{"keys": ["a", "b", "a"], "withMetadata": true}')
    assert asked == BulkGetBody(["a", "b", "a"], with_metadata=True)
    batch = batch_of(asked, "n", LIMITS)
    assert batch == Batch([Get("n", "a"), Get("n", "b")], read_bytes=LIMITS.value_bytes)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (BulkGetBody([]), 10029),
        (BulkGetBody(["a"] * 101), 10029),
        (BulkGetBody(["a"], "stream"), 10029),
        (BulkGetBody(["a", ""]), 10042),
    ],
)
def test_a_bulk_get_has_limits(asked: BulkGetBody, code: int) -> None:
    with pytest.raises(CloudflareError) as refused:
        batch_of(asked, "n", LIMITS)
    assert code_of(refused) == (400, code)


def test_the_values_of_a_bulk_get_are_text_or_json_by_their_keys() -> None:
    batch = Batch([Get("n", "b"), Get("n", "c")])
    answer = binding.encode_object(encode_values(BulkGetBody(["b"]), batch, [PLAIN, None]))
    assert body(answer) == {"b": "1", "c": None}
    asked = BulkGetBody(["b"], "json", with_metadata=True)
    answer = binding.encode_object(encode_values(asked, batch, [PLAIN, None]))
    assert body(answer) == {"b": {"value": 1, "metadata": None}, "c": None}
    batch = Batch([Get("n", "a")])
    shown = encode_values(BulkGetBody(["a"]), batch, [ENTRY], is_lossy=True)
    assert shown == {"a": "\ufffd"}
    for kind in ("text", "json"):
        with pytest.raises(CloudflareError) as refused:
            encode_values(BulkGetBody(["a"], kind), batch, [ENTRY])
        assert code_of(refused) == (400, 10029)
    whole = BulkGetBody(["a"], with_metadata=True)
    shown = encode_values(whole, batch, [ENTRY], with_expiration=True, is_lossy=True)
    assert shown["a"]["expiration"] == 2
    with pytest.raises(StorageError):
        encode_values(whole, batch, [StorageError("It failed")])


async def test_a_bulk_put_becomes_batches_of_sets() -> None:
    pairs = [
        {"key": "a", "value": "AAH/", "base64": True, "expiration_ttl": 60.0, "metadata": [1]},
        {"key": "b", "value": "1", "expiration": 1060},
    ]
    text = json.dumps(pairs).encode()
    [batch] = await bulk.decode_bulk_put(text, "n", USER, LIMITS, NOW)
    assert batch.operations == [
        Set(
            namespace="n",
            key="a",
            value=b"\x00\x01\xff",
            is_json=False,
            metadata=b"[1]",
            expires_at=NOW + 60,
        ),
        Set(namespace="n", key="b", value=b"1", expires_at=1060.0),
    ]
    with pytest.raises(Forbidden):
        await bulk.decode_bulk_put(text, "n", READER, LIMITS, NOW)
    pairs.append({"key": "c", "value": "v", "expiration_ttl": 60.5})
    with pytest.raises(
        CloudflareError, match=r"^pair 2: Invalid expiration_ttl of 60.5"
    ) as refused:
        await bulk.decode_bulk_put(json.dumps(pairs).encode(), "n", USER, LIMITS, NOW)
    assert code_of(refused) == (400, 10034)


@pytest.mark.parametrize(("size", "sizes"), [(1, [500, 500, 1]), (40_000, [105] * 9 + [56])])
async def test_a_long_bulk_put_is_several_batches(size: int, sizes: list[int]) -> None:
    pairs = [{"key": str(number), "value": "x" * size} for number in range(1001)]
    batches = await bulk.decode_bulk_put(json.dumps(pairs).encode(), "n", USER, LIMITS, NOW)
    found = [batch.operations for batch in batches]
    assert [len(group) for group in found] == sizes
    assert [one.key for group in found for one in group] == [pair["key"] for pair in pairs]


async def test_a_bulk_delete_becomes_batches_of_deletes() -> None:
    sent = [str(number) for number in range(501)]
    text = json.dumps(sent).encode()
    batches = await bulk.decode_bulk_delete(text, "n", USER, LIMITS)
    assert [one for batch in batches for one in batch.operations] == [
        Delete("n", key) for key in sent
    ]
    with pytest.raises(Forbidden):
        await bulk.decode_bulk_delete(text, "n", READER, LIMITS)
    with pytest.raises(CloudflareError) as refused:
        await bulk.decode_bulk_delete(b'["a", ".."]', "n", USER, LIMITS)
    assert code_of(refused) == (400, 10042)


def test_only_failures_of_the_storage_are_listed_by_key() -> None:
    batch = Batch([Delete("n", "a"), Delete("n", "b"), Delete("n", "c")])
    failed = StorageError("It failed")
    assert bulk.failed_keys(batch, [None, failed, None]) == ["b"]
    assert bulk.failed_keys(batch, [None, ValueTooLarge("It is large"), failed]) == ["b", "c"]
    with pytest.raises(PreconditionFailed):
        bulk.failed_keys(batch, [failed, PreconditionFailed(), None])


# Namespaces


@pytest.mark.parametrize(
    ("sent", "code"),
    [(b"{}", 10019), (b'{"title": ""}', 10019), (b"", 10012), (b'{"title": 1}', 10012)],
)
def test_a_namespace_has_a_title(sent: bytes, code: int) -> None:
    assert namespaces.decode_title(b'{"title": "photos"}') == "photos"
    with pytest.raises(CloudflareError) as refused:
        namespaces.decode_title(sent)
    assert code_of(refused) == (400, code)


def test_namespaces_are_listed_by_id_unless_the_query_orders_them() -> None:
    assert namespaces.decode_order({}) == ("id", False)
    assert namespaces.decode_order({"order": "title", "direction": "desc"}) == ("title", True)
    for asked, code in (({"order": "size"}, 10043), ({"direction": "up"}, 10044)):
        with pytest.raises(CloudflareError) as refused:
            namespaces.decode_order(asked)
        assert code_of(refused) == (400, code)


# Paths


@pytest.mark.parametrize(
    ("raw", "names", "template"),
    [
        ("", (None, "", ""), ""),
        ("user/tokens/verify", (None, "", ""), "user/tokens/verify"),
        ("accounts/a", ("a", "", ""), "accounts/{account_id}"),
        ("accounts/a/tokens/verify", ("a", "", ""), "accounts/{account_id}/tokens/verify"),
        ("accounts/a/storage/kv/namespaces", ("a", "", ""), NAMESPACES),
        ("accounts/a/storage/kv/namespaces/", ("a", "", ""), NAMESPACES),
        ("accounts/a/storage/kv/namespaces/n", ("a", "n", ""), NAMESPACE),
        ("accounts/a/storage/kv/namespaces/n/bulk/get", ("a", "n", ""), f"{NAMESPACE}/bulk/get"),
        (
            "accounts/a/storage/kv/namespaces/n/values/x%2Fy/z/",
            ("a", "n", "x%2Fy/z/"),
            f"{NAMESPACE}/values/{{key_name}}",
        ),
        (
            "accounts/a/storage/kv/namespaces/n/metadata/",
            ("a", "n", ""),
            f"{NAMESPACE}/metadata/{{key_name}}",
        ),
    ],
)
def test_a_path_names_an_account_a_namespace_and_a_key(
    raw: str, names: tuple[str | None, str, str], template: str
) -> None:
    account, *others = names
    sent = None if account is None else account.encode()
    assert parse_path(raw.encode()) == ((sent, *(one.encode() for one in others)), template)
