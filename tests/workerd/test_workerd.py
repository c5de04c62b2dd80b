"""Test `env.KV` of a Worker in Cloudflare's own runtime, with this server behind it."""

import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from servers.workerd import NOTHING, CallFailed, RunningWorkerd, Worker, made, seen
from workertown_kv.testing import ServedStore

REST = "/client/v4/accounts/any/storage/kv/namespaces"
LARGEST = 25 * 1024 * 1024
PIECE = 64 * 1024
EVERY_BYTE = bytes(range(256))
METADATA = [
    {"n": 1.5, "deep": {"list": [None, True]}},
    {"é☃": "😀 \u0001\u0085\u2028\n"},
    [],
    {},
    "text",
    " ",
    "",
    0,
    False,
]
ODD_KEYS = [
    *("a/b", "a//b", "/a", "a/", "/", "a/../b", "./a", "...", "a%2Fb", "%", "%zz", "%25", "100%"),
    *("a+b", "a b", " ", "a?b=c", "a#b", "a&b=c", "a;b", "a:b", "https://example.com/?q=1#x"),
    *("\u0000", "\n", "a\r\nb", "\u007f", "\u0085", "\\", '"', "'", "<>", "{key}", "*", "~", "|"),
    *(
        "é",
        "e\u0301",
        "日本語",
        "😀",
        "👩‍👩‍👧",
        "\u202e",
        "\ufeff",
        "\uffff",
        "\U0010ffff",
        "\uff4b",
    ),
    *("health", "open-api.json", "v1/kv", "v1/kv/x", "v1/kv?key=x", "admin/info", "bulk/get"),
    *("workerd", "workerd/", "workerd/x", "workerd/bulk/get", "client/v4/accounts", "bulk", "get"),
    *("__proto__", "constructor", "urlencoded=true", "null", "undefined", "0", "-1", "1e3"),
    *("k" * 512, "é" * 256, "/" * 512, "%" * 512, "😀" * 128, "\u0001" * 512),
]
VECTORS = Path(__file__).parents[1] / "vectors" / "keys.json"
ODD_KEYS += sorted({one["key"] for one in json.loads(VECTORS.read_text())} - {*ODD_KEYS})


class DeafStore(ServedStore):
    """Serve a server that has started, whatever its storage does."""

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/health", timeout=5, verify=False).status_code in (
                200,
                503,
            )
        except httpx2.TransportError:
            return False


# Values


def test_a_value_is_read_as_the_type_that_is_asked_for(worker: Worker) -> None:
    text = '{"a": [1, 2.50, "é😀"]} '
    worker.call("put", "types", text)
    assert worker.call("get", "types") == text
    assert worker.call("get", "types", "text") == text
    assert worker.call("get", "types", {"type": "json"}) == json.loads(text)
    assert worker.call("get", "types", "arrayBuffer") == {"buffer": seen(text.encode())}
    assert worker.call("get", "types", "stream") == {"stream": seen(text.encode())}
    for kind, value in [
        ("text", text),
        ("json", json.loads(text)),
        ("arrayBuffer", {"buffer": seen(text.encode())}),
        ("stream", {"stream": seen(text.encode())}),
    ]:
        told = worker.call("getWithMetadata", "types", kind)
        assert told == {"value": value, "metadata": None, "cacheStatus": None}
    worker.call("put", "types", "not JSON")
    with pytest.raises(CallFailed, match=r"^SyntaxError: Unexpected token"):
        worker.call("get", "types", "json")


@pytest.mark.parametrize("kind", ["array", "buffer", "stream"])
def test_any_bytes_are_kept_as_they_are(worker: Worker, server: ServedStore, kind: str) -> None:
    worker.call("put", kind, made(kind, EVERY_BYTE))
    assert worker.call("get", kind, "arrayBuffer") == {"buffer": seen(EVERY_BYTE)}
    assert worker.call("get", kind, "stream") == {"stream": seen(EVERY_BYTE)}
    assert worker.call("get", kind) == EVERY_BYTE.decode(errors="replace")
    with server.client() as client:
        as_bytes = {"Accept": "application/octet-stream"}
        assert client.get(f"/v1/kv/{kind}", headers=as_bytes).content == EVERY_BYTE


def test_a_stream_of_unknown_length_and_a_view_are_kept(worker: Worker) -> None:
    worker.call("put", "pieces", {"make": "pieces", "text": "piece ", "times": 50})
    assert worker.call("get", "pieces") == "piece " * 50
    worker.call("put", "view", made("view", b"abcd"))
    assert worker.call("get", "view") == "bc"


def test_what_is_not_there_is_null(worker: Worker) -> None:
    for kind in ("text", "json", "arrayBuffer", "stream"):
        assert worker.call("get", "missing", kind) is None
    nothing = {"value": None, "metadata": None, "cacheStatus": None}
    assert worker.call("getWithMetadata", "missing") == nothing
    assert worker.call("get", ["missing", "too"]) == {"map": [["missing", None], ["too", None]]}
    assert worker.call("getWithMetadata", ["missing"]) == {"map": [["missing", None]]}
    assert worker.call("delete", "missing") == NOTHING


def test_a_deleted_value_is_gone(worker: Worker) -> None:
    worker.call("put", "deleted", "v")
    assert worker.call("delete", "deleted") == NOTHING
    assert worker.call("get", "deleted") is None
    assert worker.call("list", {"prefix": "deleted"})["keys"] == []


def test_a_value_may_have_no_bytes_at_all(worker: Worker) -> None:
    for value in ("", made("array", b""), made("stream", b"")):
        worker.call("put", "empty", "full")
        worker.call("put", "empty", value)
        assert worker.call("get", "empty") == ""
        assert worker.call("get", "empty", "arrayBuffer") == {"buffer": seen(b"")}
        assert worker.call("get", "empty", "stream") == {"stream": seen(b"")}
        assert worker.call("get", ["empty"]) == {"map": [["empty", ""]]}


def test_a_value_may_have_25_mib_and_no_more(worker: Worker) -> None:
    text = {"make": "repeated", "text": "x", "times": LARGEST}
    worker.call("put", "largest", text)
    assert worker.call("get", "largest") == {"text": seen(b"x" * LARGEST)}
    with pytest.raises(CallFailed, match=r"^Error: KV PUT failed: 413 "):
        worker.call("put", "too-large", {**text, "times": LARGEST + 1})
    assert worker.call("get", "too-large") is None


@pytest.mark.deep
def test_a_stream_may_have_25_mib_and_nothing_may_have_twice_as_much(worker: Worker) -> None:
    text = {"make": "repeated", "text": "x", "times": LARGEST}
    pieces = {"make": "pieces", "text": PIECE * "y", "times": LARGEST // PIECE}
    worker.call("put", "largest", pieces)
    assert worker.call("get", "largest", "arrayBuffer") == {"buffer": seen(b"y" * LARGEST)}
    assert worker.call("get", "largest", "stream") == {"stream": seen(b"y" * LARGEST)}
    for too_large in (
        {**text, "times": 2 * LARGEST},
        {**pieces, "times": LARGEST // PIECE + 1},
        {**pieces, "times": 2 * LARGEST // PIECE},
    ):
        with pytest.raises(CallFailed, match=r"^Error: KV PUT failed: 413 "):
            worker.call("put", "too-large", too_large)
    assert worker.call("get", "too-large") is None


def test_a_large_put_that_is_refused_gets_a_reason(worker: Worker) -> None:
    large = {"make": "repeated", "text": "x", "times": LARGEST}
    with pytest.raises(CallFailed, match=r"^Error: KV PUT failed: 400 "):
        worker.call("put", "refused", large, {"expirationTtl": 30})
    with pytest.raises(CallFailed, match=r"^Error: KV PUT failed: 413 "):
        worker.call("put", "refused", large, {"metadata": "x" * 1023})
    with pytest.raises(CallFailed, match=r"^Error: KV PUT failed: 400 "):
        worker.call("put", "refused", large, binding="NO_NAMESPACE")
    assert worker.call("get", "refused") is None


def test_a_stream_that_breaks_off_changes_nothing(worker: Worker) -> None:
    worker.call("put", "broken", "whole")
    for text in ("half", PIECE * "half"):
        with pytest.raises(CallFailed, match=r"The other half is missing"):
            worker.call("put", "broken", {"make": "broken", "text": text})
        assert worker.call("get", "broken") == "whole"


# Metadata and expiry


@pytest.mark.parametrize("metadata", METADATA, ids=json.dumps)
def test_metadata_is_any_json(worker: Worker, metadata: Any) -> None:
    worker.call("put", "metadata", "v", {"metadata": metadata})
    told = worker.call("getWithMetadata", "metadata")
    assert told == {"value": "v", "metadata": metadata, "cacheStatus": None}
    listed = worker.call("list", {"prefix": "metadata"})["keys"]
    assert listed == [{"name": "metadata", "metadata": metadata}]
    bulk = worker.call("getWithMetadata", ["metadata"])
    assert bulk == {"map": [["metadata", {"value": "v", "metadata": metadata}]]}


def test_metadata_has_1024_bytes_at_most(worker: Worker) -> None:
    for most in ("x" * 1022, "é" * 511):
        worker.call("put", "metadata", "v", {"metadata": most})
        assert worker.call("getWithMetadata", "metadata")["metadata"] == most
        with pytest.raises(CallFailed, match=r"^Error: KV PUT failed: 413 "):
            worker.call("put", "metadata", "v", {"metadata": most + "x"})


def test_a_put_says_when_its_value_expires(worker: Worker, server: ServedStore) -> None:
    before = int(time.time())
    worker.call("put", "expires", "1", {"expirationTtl": 60})
    (listed,) = worker.call("list", {"prefix": "expires"})["keys"]
    assert before + 60 <= listed["expiration"] <= time.time() + 61
    with server.client() as client:
        assert "Expires" in client.get("/v1/kv/expires").headers
        worker.call("put", "expires", "1", {"expiration": 2**31 - 1})
        assert worker.call("list", {"prefix": "expires"})["keys"] == [
            {"name": "expires", "expiration": 2**31 - 1}
        ]
        worker.call("put", "expires", "1", {"expiration": 2**31 - 1, "expirationTtl": 60})
        (listed,) = worker.call("list", {"prefix": "expires"})["keys"]
        assert listed["expiration"] < time.time() + 62
        worker.call("put", "expires", "1")
        assert "Expires" not in client.get("/v1/kv/expires").headers
        # A value that expired a moment ago, which only the native API can write in time.
        client.put("/v1/kv/expires", json={"value": 1, "ttl": 1})
        deadline = time.monotonic() + 60
        while worker.call("get", "expires") is not None:
            assert time.monotonic() < deadline, "It did not expire"
            time.sleep(0.05)
    assert worker.call("list", {"prefix": "expires"})["keys"] == []
    assert worker.call("get", ["expires"]) == {"map": [["expires", None]]}


def test_a_put_replaces_all_that_there_was(worker: Worker) -> None:
    worker.call("put", "replaced", "1", {"metadata": {"a": 1}, "expirationTtl": 60})
    worker.call("put", "replaced", "2")
    told = worker.call("getWithMetadata", "replaced")
    assert told == {"value": "2", "metadata": None, "cacheStatus": None}
    assert worker.call("list", {"prefix": "replaced"})["keys"] == [{"name": "replaced"}]


# Many at once


def test_many_values_are_read_at_once(worker: Worker) -> None:
    worker.call("put", "bulk-a", '{"a": 1.50}', {"metadata": {"m": 1}})
    worker.call("put", "bulk-b", "false")
    keys = ["bulk-a", "bulk-b", "missing", "bulk-a"]
    assert worker.call("get", keys) == {
        "map": [["bulk-a", '{"a": 1.50}'], ["bulk-b", "false"], ["missing", None]]
    }
    as_json = [["bulk-a", {"a": 1.5}], ["bulk-b", False], ["missing", None]]
    assert worker.call("get", keys, "json") == {"map": as_json}
    assert worker.call("get", keys, {"type": "json", "cacheTtl": 60}) == {"map": as_json}
    assert worker.call("getWithMetadata", keys, "json") == {
        "map": [
            ["bulk-a", {"value": {"a": 1.5}, "metadata": {"m": 1}}],
            ["bulk-b", {"value": False, "metadata": None}],
            ["missing", None],
        ]
    }


def test_a_hundred_keys_are_read_at_once_and_no_more(worker: Worker) -> None:
    keys = [f"bulk-{number}" for number in range(101)]
    assert worker.call("get", keys[:100]) == {"map": [[key, None] for key in keys[:100]]}
    for wrong in (keys, [], ["a", ""], ["."], ["k" * 513]):
        with pytest.raises(CallFailed, match=r"^Error: KV GET_BULK failed: 4"):
            worker.call("get", wrong)


def test_a_bulk_get_is_refused_where_it_cannot_be_whole(worker: Worker) -> None:
    worker.call("put", "bulk-text", "not JSON")
    with pytest.raises(CallFailed, match=r"^Error: KV GET_BULK failed: 400 "):
        worker.call("get", ["bulk-text"], "json")
    for kind in ("arrayBuffer", "stream"):
        with pytest.raises(CallFailed, match=r"^Error: KV GET_BULK failed: 400 "):
            worker.call("get", ["bulk-text"], kind)
    half = {"make": "repeated", "text": "x", "times": LARGEST // 2 + 1}
    worker.calls(("put", "bulk-1", half), ("put", "bulk-2", half))
    with pytest.raises(CallFailed, match=r"^Error: KV GET_BULK failed: 413 "):
        worker.call("get", ["bulk-1", "bulk-2"])


def test_a_value_that_is_not_text_is_shown_in_a_bulk_get_as_in_another(worker: Worker) -> None:
    worker.call("put", "bulk-bytes", made("array", b"a\xff"))
    assert worker.call("get", "bulk-bytes") == "a\ufffd"
    assert worker.call("get", ["bulk-bytes"]) == {"map": [["bulk-bytes", "a\ufffd"]]}


# Keys


def test_keys_may_be_odd(worker: Worker, server: ServedStore) -> None:
    assert len(ODD_KEYS) == len(set(ODD_KEYS)) > 100
    puts = [
        ("put", key, f"value of {key}", {"metadata": key} if len(key) < 99 else {})
        for key in ODD_KEYS
    ]
    refused = {
        call[1]: told["error"]
        for call, told in zip(puts, worker.calls(*puts, binding="ONE"), strict=True)
        if "error" in told
    }
    # HTTP/1.1 allows it in no header field, and workerd does not escape it.
    assert refused == {"\u007f": "Error: KV PUT failed: 400 Bad Request"}
    worker.call("put", "\u007f", "value of \u007f", binding="ONE")
    got = worker.calls(*(("get", key) for key in ODD_KEYS), binding="ONE")
    assert got == [{"value": f"value of {key}"} for key in ODD_KEYS]
    listed = worker.call("list", binding="ONE")["keys"]
    assert [one["name"] for one in listed] == sorted(ODD_KEYS, key=str.encode)
    assert all(one.get("metadata", one["name"]) == one["name"] for one in listed)
    found = worker.calls(*(("list", {"prefix": key}) for key in ODD_KEYS), binding="ONE")
    assert [one["value"]["keys"][0]["name"] for one in found] == ODD_KEYS
    # workerd leaves out keys that look like the index of an array; see docs.
    told = worker.call("get", ODD_KEYS[:50], binding="ONE")
    assert told == {"map": [[key, f"value of {key}"] for key in ODD_KEYS[:50]]}
    with server.client() as client:
        native = client.get("/v1/kv?namespace=one&limit=1000").json()["data"]["keys"]
        assert [one["key"] for one in native] == [one["name"] for one in listed]
    worker.calls(*(("delete", key) for key in ODD_KEYS), binding="ONE")
    assert worker.call("list", binding="ONE")["keys"] == []


@pytest.mark.parametrize("key", [".", "..", "", "k" * 513, "é" * 257])
def test_a_key_that_workers_kv_refuses_does_not_leave_the_worker(worker: Worker, key: str) -> None:
    for method in ("get", "delete"):
        with pytest.raises(CallFailed, match=r"[Kk]ey name|key length limit of 512"):
            worker.call(method, key)


def test_2500_keys_are_listed_page_by_page(worker: Worker, server: ServedStore) -> None:
    # In UTF-16, as JavaScript compares, U+FFFF comes after U+1F600.
    heads = ["a", "b/", "b%2F", "é", "\uffff", "😀"]
    keys = [f"{heads[number % 6]}{number:04}" for number in range(2500)]
    ordered = sorted(keys, key=str.encode)
    with server.client() as client:
        for start in range(0, 2500, 1000):
            sets = [{"op": "set", "key": key, "value": 1} for key in keys[start : start + 1000]]
            body = {"operations": sets}
            assert client.post("/v1/kv?namespace=two", json=body).status_code == 200

    def pages(**options: Any) -> list[list[str]]:
        found: list[list[str]] = []
        cursor = None
        while True:
            page = worker.call("list", {**options, "cursor": cursor}, binding="TWO")
            found.append([key["name"] for key in page["keys"]])
            assert page["list_complete"] == ("cursor" not in page)
            assert page["cacheStatus"] is None
            if page["list_complete"]:
                return found
            cursor = page["cursor"]

    assert pages() == [ordered[:1000], ordered[1000:2000], ordered[2000:]]
    assert pages(limit=999)[2] == ordered[1998:]
    assert pages(limit=1000, prefix="") == pages()
    assert [len(page) for page in pages(limit=500)] == [500] * 5
    for head in heads:
        found = [key for page in pages(prefix=head, limit=100) for key in page]
        assert found == [key for key in ordered if key.startswith(head)]
    assert pages(prefix="c") == [[]]
    assert pages(limit=0) == pages(limit=-1) == pages()
    for wrong in ({"limit": 1001}, {"cursor": "nonsense"}):
        with pytest.raises(CallFailed, match=r"^Error: KV GET failed: 400 "):
            worker.call("list", wrong, binding="TWO")


# Failures


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (("put", "k", "v", {"expirationTtl": 30}), "KV PUT failed: 400 Bad Request"),
        (("put", "k", "v", {"expirationTtl": 0}), "KV PUT failed: 400 Bad Request"),
        (("put", "k", "v", {"expiration": 1}), "KV PUT failed: 400 Bad Request"),
        (("put", "k", "v", {"metadata": "x" * 1023}), "KV PUT failed: 413 Payload Too Large"),
        (("put", "k\ud800", "v"), "KV PUT failed: 400 Bad Request"),
        (("get", "k", {"cacheTtl": 29}), "KV GET failed: 400 Bad Request"),
        (("getWithMetadata", "k", {"cacheTtl": 29}), "KV GET failed: 400 Bad Request"),
        (("get", ["k"], {"cacheTtl": 29}), "KV GET_BULK failed: 400 Bad Request"),
        (("list", {"limit": 1001}), "KV GET failed: 400 Bad Request"),
    ],
)
def test_a_worker_sees_the_status_of_what_is_refused(
    worker: Worker, call: tuple[Any, ...], error: str
) -> None:
    assert worker.calls(call) == [{"error": f"Error: {error}"}]


EVERY_CALL = [
    ("get", "k"),
    ("getWithMetadata", "k"),
    ("list",),
    ("get", ["k"]),
    ("put", "k", "v"),
    ("delete", "k"),
]


def errors(status: str) -> list[dict[str, str]]:
    names = ("GET", "GET", "GET", "GET_BULK", "PUT", "DELETE")
    return [{"error": f"Error: KV {name} failed: {status}"} for name in names]


def test_credentials_are_needed_for_every_call(worker: Worker) -> None:
    for binding in ("NO_KEY", "WRONG_KEY"):
        assert worker.calls(*EVERY_CALL, binding=binding) == errors("401 Unauthorized")


def test_a_namespace_that_is_not_there_is_an_error_and_not_an_empty_one(worker: Worker) -> None:
    assert worker.calls(*EVERY_CALL, binding="NO_NAMESPACE") == errors("400 Bad Request")


@pytest.mark.deep
def test_a_storage_that_does_not_answer_is_an_error(modules: Path) -> None:
    with (
        DeafStore("redis://127.0.0.1:1") as server,
        RunningWorkerd(modules, server.url, {"KV": server.headers}) as worker,
    ):
        assert worker.calls(*EVERY_CALL) == errors("503 Service Unavailable")


def test_the_log_has_the_words_that_a_worker_does_not_see(
    worker: Worker, server: ServedStore
) -> None:
    worker.calls(("put", "words", "v"), ("get", "words", {"cacheTtl": 1}), binding="NO_NAMESPACE")
    server.read_until("PUT b'/words' refused: 400 namespace not found")
    server.read_until("GET b'/words' refused: 400 Invalid cache_ttl of 1.")


# One server


def test_every_door_has_the_same_values(worker: Worker, server: ServedStore) -> None:
    with server.client() as client:
        values = f"{REST}/{namespace(client, 'one')}/values"
        worker.call("put", "shared/1", '{"by": "workerd"}', {"metadata": {"m": 1}}, binding="ONE")
        native = client.get("/v1/kv/shared/1?namespace=one")
        assert native.json()["data"] == {"by": "workerd"}
        assert native.headers["X-KV-Metadata"] == '{"m":1}'
        assert client.get(f"{values}/shared%2F1").text == '{"by": "workerd"}'

        body = {"value": {"by": "native"}, "metadata": {"m": "\u007fé"}}
        assert client.put("/v1/kv/shared/2?namespace=one", json=body).status_code == 200
        told = worker.call("getWithMetadata", "shared/2", "json", binding="ONE")
        assert told == {"value": body["value"], "metadata": body["metadata"], "cacheStatus": None}

        assert client.put(f"{values}/shared%2F3", content=EVERY_BYTE).status_code == 200
        read = worker.call("get", "shared/3", "arrayBuffer", binding="ONE")
        assert read == {"buffer": seen(EVERY_BYTE)}
        worker.call("delete", "shared/3", binding="ONE")
        assert client.get(f"{values}/shared%2F3").status_code == 404
        assert client.get("/health").json()["data"] == "OK"


def test_two_bindings_have_two_namespaces(worker: Worker) -> None:
    for binding in ("KV", "ONE", "TWO"):
        worker.call("put", "whose", f"that of {binding}", binding=binding)
    for binding in ("KV", "ONE", "TWO"):
        assert worker.call("get", "whose", binding=binding) == f"that of {binding}"
    worker.call("delete", "whose", binding="ONE")
    assert worker.call("get", "whose", binding="ONE") is None
    assert worker.call("get", "whose", binding="TWO") == "that of TWO"


def test_a_worker_finds_its_values_again_when_the_server_comes_back(
    modules: Path, tmp_path: Path
) -> None:
    with (
        ServedStore(tmp_path / "kv.sqlite") as server,
        RunningWorkerd(modules, server.url, {"KV": server.headers}) as worker,
    ):
        worker.call("put", "kept", "v", {"metadata": [1], "expiration": 2**31 - 1})
        server.kill()
        server.start()
        # The connection that was open is dead, and workerd notices in time.
        assert worker.call("get", "kept") == "v"
        server.stop()
        with pytest.raises(CallFailed, match=r"Network connection lost"):
            worker.call("get", "kept")
        server.start()
        (kept,) = worker.call("list")["keys"]
        assert kept == {"name": "kept", "expiration": 2**31 - 1, "metadata": [1]}


def namespace(client: httpx2.Client, title: str) -> str:
    every = client.get(REST).json()["result"]
    (id,) = (one["id"] for one in every if one["title"] == title)
    return str(id)
