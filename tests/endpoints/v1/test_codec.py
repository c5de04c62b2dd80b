"""Test how requests become operations, and results answers, without a server or a storage."""

import json
from typing import Any

import pytest

from workertown_kv.endpoints.v1.admin.namespaces import decode_title
from workertown_kv.endpoints.v1.envelope import JOINED_BYTES, error_answer
from workertown_kv.endpoints.v1.kv.batch_bodies import decode_batch
from workertown_kv.endpoints.v1.kv.bodies import decode_put
from workertown_kv.endpoints.v1.kv.collection import (
    ANSWER_COPIES,
    batch_answer_bytes,
    encode_results,
)
from workertown_kv.endpoints.v1.kv.listing import decode_list, encode_page
from workertown_kv.endpoints.v1.kv.raw import is_raw
from workertown_kv.endpoints.v1.kv.value import (
    decode_delete,
    decode_get,
    encode_entry,
    encode_version,
    precondition_of_put,
    wants_minimum,
)
from workertown_kv.entry import Entry, KeyInfo
from workertown_kv.errors import (
    Forbidden,
    InputError,
    KeyTooLong,
    NotAcceptable,
    NotFound,
    PreconditionFailed,
    StorageError,
    UnsupportedMediaType,
)
from workertown_kv.http.answer import Answer
from workertown_kv.http.exchange import AsgiExchange, Exchange
from workertown_kv.http.memory import Memory
from workertown_kv.operations import Batch, Delete, Get, List, Page, Precondition, Result, Set
from workertown_kv.options import Options
from workertown_kv.user import Scope, User

pytestmark = pytest.mark.anyio

LIMITS = Options().limits
ENTRY = Entry(key="a", value=b"[1]", version="v1")
BYTES = "application/octet-stream"


def exchange(method: str = "GET", **fields: str) -> Exchange:
    headers = [(name.replace("_", "-").encode(), text.encode()) for name, text in fields.items()]
    scope = {"type": "http", "method": method, "path": "/v1/kv/a", "headers": headers}
    made = AsgiExchange(scope, _no_message, _no_message, Memory(0))
    made.user = User(id="u", strategy="test")
    return made


async def _no_message(*_: object) -> Any:
    raise AssertionError("nothing is read or sent")


def data(answer: Answer) -> Any:
    return json.loads(b"".join(answer.parts))["data"]


def test_a_get_is_of_a_key_in_a_namespace() -> None:
    assert decode_get("n", "a", LIMITS) == Get("n", "a")
    with pytest.raises(KeyTooLong):
        decode_get("n", "a" * (LIMITS.key_bytes + 1), LIMITS)


def test_an_entry_becomes_its_value_with_what_is_known_of_it() -> None:
    entry = Entry(key="a", value=b"[1]", version="v1", expires_at=1.0, metadata=b'{"a":1}')
    answer = encode_entry(exchange(), entry)
    assert (answer.status, data(answer)) == (200, [1])
    fields = dict(answer.fields)
    assert fields[b"etag"] == b'"v1"'
    assert fields[b"expires"] == b"Thu, 01 Jan 1970 00:00:01 GMT"
    assert fields[b"x-kv-metadata"] == b'{"a":1}'
    missing = exchange()
    assert encode_entry(missing, None) == error_answer(NotFound(), missing.request_id)


def test_a_large_value_is_not_copied() -> None:
    value = b'"' + b"x" * JOINED_BYTES + b'"'
    parts = encode_entry(exchange(), Entry(key="a", value=value, version="v")).parts
    assert parts[1] is value


def test_a_value_is_its_own_bytes_on_request() -> None:
    entry = Entry(key="a", value=b"\xff", version="v1", is_json=False)
    answer = encode_entry(exchange(accept=BYTES), entry)
    assert list(answer.parts) == [b"\xff"]
    assert (b"content-type", BYTES.encode()) in answer.fields
    with pytest.raises(NotAcceptable):
        encode_entry(exchange(accept="application/json"), entry)


def test_what_the_client_has_already_is_304_and_another_version_than_it_wants_412() -> None:
    known = encode_entry(exchange(if_none_match='"v0", "v1"'), ENTRY)
    assert (known.status, known.parts) == (304, ())
    assert (b"etag", b'"v1"') in known.fields
    assert encode_entry(exchange(if_none_match='"v0"', if_match="*"), ENTRY).status == 200
    with pytest.raises(PreconditionFailed):
        encode_entry(exchange(if_match='"v0"'), ENTRY)


async def test_the_body_of_a_put_becomes_a_set() -> None:
    body = b'{"value": [1, 2], "ttl": 5, "metadata": {"a": 1}}'
    precondition = Precondition(("v1",))
    operation = await decode_put(
        body, namespace="n", key="a", precondition=precondition, limits=LIMITS, now=10.0
    )
    assert operation == Set(
        namespace="n",
        key="a",
        value=b"[1, 2]",
        metadata=b'{"a":1}',
        expires_at=15.0,
        precondition=precondition,
    )
    for wrong in (b"", b"1", b'{"value": 1, "more": 2}', b'{"value": \xff}'):
        with pytest.raises(InputError):
            await decode_put(
                wrong, namespace="n", key="a", precondition=None, limits=LIMITS, now=0.0
            )


def test_a_put_is_checked_before_its_body_is_read() -> None:
    put = exchange("PUT", content_type="application/json", if_match='"v1"')
    assert precondition_of_put(put, "n", "a", LIMITS) == Precondition(("v1",))
    assert not is_raw(put)
    with pytest.raises(UnsupportedMediaType):
        is_raw(exchange("PUT"))
    put.user = User(id="u", strategy="test", scopes=(Scope(verbs=("read",)),))
    with pytest.raises(Forbidden):
        precondition_of_put(put, "n", "a", LIMITS)


def test_a_put_is_answered_with_the_value_or_where_that_is_preferred_without() -> None:
    operation = Set(namespace="n", key="a", value=b"[1]")
    assert not wants_minimum(exchange("PUT"))
    assert data(encode_version(operation, "v1", is_minimal=False)) == [1]
    assert wants_minimum(exchange("PUT", prefer="wait=1, return=minimal"))
    answer = encode_version(operation, "v1", is_minimal=True)
    assert data(answer) is None
    assert (b"preference-applied", b"return=minimal") in answer.fields


def test_a_delete_may_have_a_precondition() -> None:
    assert decode_delete(exchange("DELETE"), "n", "a", LIMITS) == Delete("n", "a")
    operation = decode_delete(exchange("DELETE", if_none_match='"v1"'), "n", "a", LIMITS)
    assert operation.precondition == Precondition(("v1",), negated=True)


def test_a_page_has_a_cursor_that_asks_for_the_next() -> None:
    infos = [
        KeyInfo(key="a", version="v1"),
        KeyInfo(key="b", version="v2", expires_at=2.0, metadata=b"{}"),
    ]
    shown = data(encode_page(List("n", "p", 7), Page(infos, "ä/?")))
    assert shown["keys"] == [
        {"key": "a", "version": "v1"},
        {"key": "b", "version": "v2", "expires_at": 2, "metadata": {}},
    ]
    assert not shown["complete"]
    operation = decode_list("n", {"cursor": shown["cursor"], "limit": "7", "prefix": "p"})
    assert (operation.cursor, operation.limit, operation.prefix) == ("ä/?", 7, "p")
    for wrong in ({"limit": "0"}, {"limit": "x"}, {"cursor": "!"}):
        with pytest.raises(InputError):
            decode_list("n", wrong)


async def test_a_batch_becomes_operations_and_its_results_an_array() -> None:
    body = json.dumps(
        {
            "atomic": True,
            "operations": [
                {"op": "get", "key": "a"},
                {"op": "set", "key": "b", "value": 1, "if_version": None},
                {"op": "delete", "key": "c", "if_version": "v"},
                {"op": "get", "key": "d"},
            ],
        }
    ).encode()
    batch = await decode_batch(body, namespace="n", limits=LIMITS, now=0.0)
    assert batch.atomic
    assert batch.operations == [
        Get("n", "a"),
        Set(namespace="n", key="b", value=b"1", precondition=Precondition(negated=True)),
        Delete("n", "c", Precondition(("v",))),
        Get("n", "d"),
    ]
    results: list[Result] = [ENTRY, "v2", PreconditionFailed(), StorageError("It failed")]
    assert data(encode_results(batch, results)) == [
        {"key": "a", "value": [1], "version": "v1"},
        {"key": "b", "version": "v2"},
        {"key": "c", "status": 412, "error": PreconditionFailed().message},
        {"key": "d", "status": 500, "error": "It failed"},
    ]


def test_only_a_batch_that_also_writes_has_memory_for_its_answer_counted_before() -> None:
    get, write = Get("n", "a"), Set(namespace="n", key="b", value=b"1")
    assert batch_answer_bytes(Batch([get, get]), LIMITS) == 0
    assert batch_answer_bytes(Batch([write]), LIMITS) == 0
    assert batch_answer_bytes(Batch([get, write]), LIMITS) == ANSWER_COPIES * LIMITS.value_bytes


def test_a_title_is_text_in_an_object() -> None:
    assert decode_title(b'{"title": "photos"}') == "photos"
    for wrong in (b"", b'{"title": 1}', b'{"name": "photos"}', b'{"title": "\xff"}'):
        with pytest.raises(InputError):
            decode_title(wrong)


def test_an_error_has_its_own_words_or_only_a_request_id() -> None:
    answer = error_answer(NotFound(), "id")
    assert answer.status == 404
    assert json.loads(answer.parts[0])["request_id"] == "id"
    hidden = error_answer(StorageError("secret"), "id")
    assert hidden.status == 500
    assert b"secret" not in b"".join(hidden.parts)
    assert json.loads(hidden.parts[0])["error"] == "Internal error (request id id)"
