"""Test the audit log: who did what to which key, or was refused."""

import asyncio
import hmac
import json
import os
import re
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from caller import API_KEY, Caller, make_server
from served_socket import put, request, serving, until
from workertown_kv import OptionsError, Server, kv
from workertown_kv.http.exchange import Exchange
from workertown_kv.operations import Batch, Result
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage

pytestmark = pytest.mark.anyio

VALUE = "do-not-tell"
SPACE = f"/client/v4/accounts/a/storage/kv/namespaces/{'0' * 32}"
WORKERD = {"CF-KV-FLPROD-405": "https://x/a"}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
READER = {
    "name": "reader",
    "api_key": "r",
    "scopes": [{"verbs": ["read", "list"]}, {"verbs": ["write"], "prefixes": ["mine/"]}],
}
ADMIN = {"name": "admin", "api_key": API_KEY}


class Audited:
    """A server whose audit log is a list."""

    def __init__(self, storage: Any = None, **audit: Any) -> None:
        self.lines: list[dict[str, Any]] = []
        self.server: Server = make_server(
            storage or MemoryStorage(),
            auth={"api_key": {"api_keys": [ADMIN, READER]}},
            audit={"function": self.lines.append, **audit},
        )
        self.call = Caller(self.server)

    def taken(self, *names: str) -> list[tuple[Any, ...]]:
        """Return these fields of all lines since the last call."""
        lines, self.lines[:] = list(self.lines), []
        assert VALUE not in json.dumps(lines)
        for line in lines:
            assert MOMENT.fullmatch(line["time"])
            assert line["request_id"]
            assert line["client"] == "127.0.0.1"
        return [tuple(line.get(name) for name in names) for line in lines]


class Cancelled(MemoryStorage):
    """Does a batch, but the request is cancelled before it learns of that."""

    async def batch(self, operation: Batch) -> Sequence[Result]:
        await super().batch(operation)
        raise asyncio.CancelledError


WHAT = ("action", "namespace", "key", "status")


def version_in(answer: httpx2.Response) -> str:
    return answer.headers["etag"].strip('"')


async def test_a_line_says_who_did_what_to_which_key() -> None:
    audited = Audited()
    headers = {"X-Request-Id": "mine"}
    made = await audited.call("PUT", "/v1/kv/a%2Fb", json={"value": VALUE}, headers=headers)
    (line,) = audited.lines
    assert MOMENT.fullmatch(line.pop("time"))
    assert line == {
        "request_id": "mine",
        "client": "127.0.0.1",
        "user": "admin",
        "strategy": "api_key",
        "request": "PUT /v1/kv/{key}",
        "action": "set",
        "namespace": "default",
        "key": "a/b",
        "after": version_in(made),
        "status": 200,
    }


async def test_each_way_to_change_a_key_is_a_line() -> None:
    audited = Audited()
    call = audited.call
    json_patch = {"Content-Type": "application/merge-patch+json"}
    raw = {"Content-Type": "text/plain"}
    await call("PUT", "/v1/kv/a", json={"value": {"x": VALUE}})
    await call("PUT", "/v1/kv/b", content=VALUE, headers=raw)
    patched = await call("PATCH", "/v1/kv/a", content=b'{"y":1}', headers=json_patch)
    await call("PATCH", "/v1/kv/a", json={"ttl": 60})
    await call("PATCH", "/v1/kv/n", json={"increment": 1})
    await call("DELETE", "/v1/kv?key=n&take=true")
    await call("DELETE", "/v1/kv/b")
    await call("DELETE", "/v1/kv?prefix=a")
    await call("PUT", f"{SPACE}/values/c", content=VALUE)
    await call("DELETE", f"{SPACE}/values/c")
    await call("PUT", "/d", content=VALUE, headers=WORKERD)
    await call("DELETE", "/d", headers=WORKERD)
    bulk = [{"key": "e", "value": VALUE}, {"key": "f", "value": VALUE}]
    await call("PUT", f"{SPACE}/bulk", json=bulk)
    await call("POST", f"{SPACE}/bulk/delete", json=["e"])
    lines = list(audited.lines)
    assert audited.taken(*WHAT, "prefix", "deleted") == [
        ("set", "default", "a", 200, None, None),
        ("set", "default", "b", 200, None, None),
        ("update", "default", "a", 200, None, None),
        ("touch", "default", "a", 200, None, None),
        ("update", "default", "n", 200, None, None),
        ("update", "default", "n", 200, None, None),
        ("delete", "default", "b", 200, None, None),
        ("delete_prefix", "default", None, 200, "a", 1),
        ("set", "default", "c", 200, None, None),
        ("delete", "default", "c", 200, None, None),
        ("set", "default", "d", 200, None, None),
        ("delete", "default", "d", 200, None, None),
        ("set", "default", "e", 200, None, None),
        ("set", "default", "f", 200, None, None),
        ("delete", "default", "e", 200, None, None),
    ]
    assert (lines[2]["before"], lines[2]["after"]) == (lines[0]["after"], version_in(patched))
    assert lines[5]["before"] == lines[4]["after"]
    assert "after" not in lines[5]


@pytest.mark.parametrize("is_atomic", [False, True])
async def test_each_operation_of_a_batch_is_a_line(*, is_atomic: bool) -> None:
    audited = Audited()
    operations = [
        {"op": "set", "key": "a", "value": VALUE},
        {"op": "get", "key": "a"},
        {"op": "set", "key": "b", "value": VALUE, "if_version": "none"},
        {"op": "delete", "key": "c"},
    ]
    body = {"operations": operations, "atomic": is_atomic}
    await audited.call("POST", "/v1/kv", json=body)
    done = 409 if is_atomic else 200
    lines = audited.taken(*WHAT, "before")
    expected = [
        ("set", "default", "a", done, None),
        ("get", "default", "a", done, None),
        ("set", "default", "b", 412, None),
        ("delete", "default", "c", done, None),
    ]
    assert lines == [one for one in expected if one[0] != "get" or is_atomic]


async def test_a_repeated_request_is_not_done_again(tmp_path: Path) -> None:
    audited = Audited(SqliteStorage(tmp_path / "kv.sqlite"))
    async with audited.server:
        for _ in range(2):
            headers = {"Idempotency-Key": "one"}
            answer = await audited.call("PATCH", "/v1/kv/n", json={"increment": 1}, headers=headers)
            assert answer.json()["data"] == 1
    assert audited.taken(*WHAT) == [
        ("update", "default", "n", 200),
        ("request", None, "n", 200),
    ]


async def test_what_is_refused_is_a_line_too() -> None:
    audited = Audited(MemoryStorage({"a": VALUE}))
    call = audited.call
    reader = {"Authorization": "Bearer r"}
    nobody = {"Authorization": "Bearer wrong"}
    body = {"value": VALUE}
    await call("PUT", "/v1/kv/a", json=body, headers={"If-Match": '"x"'})
    await call("PUT", "/v1/kv/a", json=body, headers=reader)
    await call("DELETE", "/v1/kv/a", headers=reader)
    await call("GET", "/v1/kv/a", headers=nobody)
    await call("GET", "/v1/kv?key=b", headers=nobody)
    await call("GET", f"{SPACE}/values/c%2Fd", headers=nobody)
    await call("GET", "/e%2Ff", headers={**WORKERD, **nobody})
    await call("GET", "/admin/info", headers=reader)
    await call("DELETE", "/v1/kv?prefix=x", headers=reader)
    await call("PUT", "/v1/kv/a", content=b"{", headers={"Content-Type": "application/json"})
    assert "before" not in audited.lines[0], "the entry has another version"
    assert audited.taken(*WHAT, "user", "request") == [
        ("set", "default", "a", 412, "admin", "PUT /v1/kv/{key}"),
        ("request", None, "a", 403, "reader", "PUT /v1/kv/{key}"),
        ("delete", "default", "a", 403, "reader", "DELETE /v1/kv/{key}"),
        ("request", None, "a", 401, None, "GET /v1/kv/{key}"),
        ("request", None, "b", 401, None, "GET /v1/kv"),
        ("request", None, "c/d", 401, None, "GET " + VALUES),
        ("request", None, "e/f", 401, None, "GET /workerd/{key}"),
        ("request", None, None, 403, "reader", "GET /admin/info"),
        ("delete_prefix", "default", None, 403, "reader", "DELETE /v1/kv"),
        ("request", None, "a", 400, "admin", "PUT /v1/kv/{key}"),
    ]


async def test_a_refused_request_names_the_namespace_or_the_api_key_of_its_url() -> None:
    audited = Audited()
    call = audited.call
    reader = {"Authorization": "Bearer r"}
    rest = "/client/v4/accounts/a/storage/kv/namespaces"
    body = {"value": VALUE}
    await call("DELETE", "/admin/api-keys/rep%C3%B6rt", headers=reader)
    await call("DELETE", "/admin/api-keys/missing")
    await call("PUT", "/admin/namespaces/photos", json={"title": VALUE}, headers=reader)
    await call("POST", "/admin/api-keys", json={"name": VALUE}, headers=reader)
    await call("DELETE", f"{rest}/{'a' * 32}", headers=reader)
    await call("PUT", "/v1/kv/a?namespace=photos", json=body, headers=reader)
    await call("GET", "/v1/changes?namespace=photos&ticket=wrong", headers={"Authorization": ""})
    await call("GET", f"/v1/whoami?namespace={VALUE}", headers={"Authorization": ""})
    for name in ("photos", "K\xf6ln".encode()):
        await call("PUT", "/v1/kv?key=a", json=body, headers={**reader, "X-KV-Namespace": name})
    assert audited.taken("action", "target", "key", "status") == [
        ("request", "rep\xf6rt", None, 403),
        ("request", "missing", None, 404),
        ("request", "photos", None, 403),
        ("request", None, None, 403),
        ("request", "a" * 32, None, 403),
        ("request", "photos", "a", 404),
        ("request", "photos", None, 401),
        ("request", None, None, 401),
        ("request", "photos", "a", 404),
        ("request", "K\xf6ln", "a", 404),
    ]


async def test_the_secret_of_an_api_key_that_is_sent_as_its_name_is_not_in_a_line() -> None:
    audited = Audited()
    key = (await audited.call.data("POST", "/admin/api-keys", json={"name": "a"}))["api_key"]
    audited.lines.clear()
    await audited.call("DELETE", f"/admin/api-keys/{key}")
    assert audited.taken("action", "target", "status") == [("request", key[:23], 404)]


async def test_a_key_that_nobody_may_grant_is_a_line_with_its_name() -> None:
    audited = Audited()
    scopes = [{"verbs": ["admin"]}]
    made = await audited.call.data("POST", "/admin/api-keys", json={"name": "a", "scopes": scopes})
    headers = {"Authorization": f"Bearer {made['api_key']}"}
    await audited.call("POST", "/admin/api-keys", json={"name": "b"}, headers=headers)
    assert audited.taken("action", "api_key", "status") == [
        ("create_api_key", "a", 200),
        ("create_api_key", "b", 403),
    ]


VALUES = "/client/v4/accounts/{account_id}/storage/kv/namespaces/{namespace_id}/values/{key_name}"


async def test_a_failure_of_the_storage_is_a_line() -> None:
    class Failing(MemoryStorage):
        async def delete(self, operation: object) -> None:
            raise RuntimeError(VALUE)

    audited = Audited(Failing())
    await audited.call("DELETE", "/v1/kv/a")
    assert audited.taken(*WHAT) == [("delete", "default", "a", 500)]


async def test_namespaces_and_api_keys_are_lines() -> None:
    audited = Audited()
    call = audited.call
    made = await call.data("POST", "/admin/namespaces", json={"title": "photos"})
    json_body = {"title": "pictures"}
    await call("PUT", "/admin/namespaces/photos", json=json_body)
    await call("PATCH", "/admin/namespaces/photos", json=json_body)
    await call("POST", "/admin/api-keys", json={"name": "report"})
    await call("DELETE", "/admin/api-keys/report")
    rest = "/client/v4/accounts/a/storage/kv/namespaces"
    other = (await call("POST", rest, json={"title": "cats"})).json()["result"]["id"]
    await call("PUT", f"{rest}/{other}", json={"title": "dogs"})
    await call("DELETE", f"{rest}/{other}")
    await call("DELETE", f"/admin/namespaces/{made['id']}")
    lines = audited.taken("action", "namespace", "title", "api_key", "status")
    assert [line for line in lines if line[0] != "request"] == [
        ("create_namespace", made["id"], "photos", None, 200),
        ("rename_namespace", made["id"], "pictures", None, 200),
        ("create_api_key", None, None, "report", 200),
        ("revoke_api_key", None, None, "report", 200),
        ("create_namespace", other, "cats", None, 200),
        ("rename_namespace", other, "dogs", None, 200),
        ("delete_namespace", other, None, None, 200),
        ("delete_namespace", made["id"], None, None, 200),
    ]


async def test_an_import_is_a_line_for_each_entry_and_each_new_namespace() -> None:
    source = make_server(MemoryStorage({"a": VALUE, "b": VALUE}))
    async with source:
        made = await Caller(source).data("POST", "/admin/namespaces", json={"title": "photos"})
        await Caller(source)("PUT", "/v1/kv/c?namespace=photos", json={"value": VALUE})
        exported = (await Caller(source)("GET", "/admin/export")).content
    audited = Audited()
    fields = {"Content-Type": "application/x-ndjson"}
    answer = await audited.call("POST", "/admin/import", content=exported, headers=fields)
    assert answer.json()["data"]["written"] == 3
    lines = audited.taken("action", "namespace", "key")
    assert len(lines) == 4
    assert {*lines} == {
        ("create_namespace", made["id"], None),
        ("set", made["id"], "c"),
        ("set", "default", "a"),
        ("set", "default", "b"),
    }


async def test_a_parameter_that_is_no_key_is_not_in_a_line() -> None:
    audited = Audited()
    for path in ("/elsewhere", "/admin/namespaces", "/metrics", "/v1/changes"):
        await audited.call("GET", f"{path}?key={VALUE}", headers={"Authorization": "Bearer wrong"})
    assert audited.taken("action", "key", "status") == [("request", None, 401)] * 4


async def test_a_bulk_request_that_is_cancelled_is_a_line_for_each_key() -> None:
    audited = Audited(Cancelled())
    bulk = [{"key": "a", "value": VALUE}, {"key": "b", "value": VALUE}]
    with pytest.raises(asyncio.CancelledError):
        await audited.call("PUT", f"{SPACE}/bulk", json=bulk)
    assert audited.taken(*WHAT) == [("set", "default", "a", 500), ("set", "default", "b", 500)]


async def test_a_request_without_an_answer_is_a_line_with_status_0() -> None:
    audited = Audited(Cancelled())
    with pytest.raises(asyncio.CancelledError):
        await audited.call("POST", "/admin/namespaces", json={"title": "cats"})
    assert audited.taken("action", "status") == [("request", 0)]


async def test_reads_are_lines_if_they_are_asked_for() -> None:
    storage = MemoryStorage({"a": VALUE})
    for reads in (False, True):
        audited = Audited(storage, reads=reads)
        got = await audited.call("GET", "/v1/kv/a")
        await audited.call("GET", "/v1/kv/missing")
        await audited.call("GET", "/v1/kv?prefix=a")
        await audited.call("GET", f"{SPACE}/values/a")
        await audited.call("POST", "/v1/kv", json={"operations": [{"op": "get", "key": "a"}]})
        await audited.call("GET", "/v1/whoami")
        found = audited.taken(*WHAT, "prefix", "before")
        version = version_in(got)
        reading = [
            ("get", "default", "a", 200, None, version),
            ("get", "default", "missing", 200, None, None),
            ("list", "default", None, 200, "a", None),
            ("get", "default", "a", 200, None, version),
            ("get", "default", "a", 200, None, version),
            ("request", None, None, 200, None, None),
        ]
        # A POST counts as a write unless its operations say otherwise.
        assert found == (reading if reads else [("request", None, None, 200, None, None)])


async def test_keys_are_hashed_with_a_secret() -> None:
    audited = Audited(hash_secret="s3cret")
    await audited.call("PUT", "/v1/kv/theme", json={"value": VALUE})
    await audited.call("DELETE", "/v1/kv?prefix=the")
    await audited.call("GET", "/v1/kv/theme", headers={"Authorization": "Bearer wrong"})

    def hashed(text: str) -> str:
        return hmac.new(b"s3cret", text.encode(), "sha256").hexdigest()

    assert "theme" not in json.dumps(audited.lines)
    assert audited.taken("action", "key_hash", "prefix_hash") == [
        ("set", hashed("theme"), None),
        ("delete_prefix", None, hashed("the")),
        ("request", hashed("theme"), None),
    ]


async def test_plain_requests_are_lines_too() -> None:
    audited = Audited()
    async with audited.server, serving(audited.server) as served:
        _, writer = await served.connect()
        writer.write(put(b"a", b'{"value":1}') + request(b"DELETE /v1/kv/a"))
        await until(lambda: len(audited.lines) == 2)
        writer.close()
    assert audited.taken(*WHAT, "user") == [
        ("set", "default", "a", 200, "admin"),
        ("delete", "default", "a", 200, "admin"),
    ]


async def test_no_request_is_kept_after_its_end() -> None:
    audited = Audited()

    class Watcher:
        def observe(self, exchange: Exchange, seconds: float) -> None:
            assert exchange.trail is None

    audited.server.watch(Watcher())
    assert (await audited.call("PUT", "/v1/kv/a", json={"value": 1})).is_success
    assert audited.taken("action") == [("set",)]


async def test_a_log_that_fails_stops_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    audited = Audited(function=full)
    for key in ("a", "b"):
        assert (await audited.call("PUT", f"/v1/kv/{key}", json={"value": 1})).is_success
    (message,) = [one.getMessage() for one in caplog.records if "audit" in one.getMessage()]
    assert "No space left on device" in message


# The file


def served(environment: Mapping[str, str], **audit: Any) -> Server:
    options: dict[str, Any] = {"audit": audit} if audit else {}
    options["auth"] = {"api_key": {"api_key": API_KEY}}
    return kv(runtime="testing", get_env=lambda: environment, **options)


async def test_several_servers_add_lines_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_text('{"old": true}\n')
    servers = [
        served({"KV_AUDIT": str(file)}),
        served({}, path=str(file)),
    ]
    for number in range(4):
        call = Caller(servers[number % 2])
        await call("PUT", "/v1/kv/%C3%A9%0A%C2%85%E2%80%A8%E2%80%A9", json={"value": VALUE})
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line.get("key") for line in lines] == [None, *["é\n\x85\u2028\u2029"] * 4]


async def test_a_line_after_a_part_of_a_line_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    size = 64 * 1024 * 1024  # larger than any other file that the tests write meanwhile
    file.touch()
    os.truncate(file, size)
    call = Caller(served({"KV_AUDIT": str(file)}))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, before[1]))
    try:
        await call("PUT", "/v1/kv/cut", json={"value": VALUE})
        await call("PUT", "/v1/kv/lost", json={"value": VALUE})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    for key in ("a", "b"):
        await call("PUT", f"/v1/kv/{key}", json={"value": VALUE})
    cut, *lines = file.read_bytes()[size:].splitlines()
    assert len(cut) == 50
    assert [json.loads(line)["key"] for line in lines] == ["a", "b"]


async def test_a_new_file_is_only_for_its_owner_and_a_wrong_path_is_an_error(
    tmp_path: Path,
) -> None:
    file = tmp_path / "audit.jsonl"
    served({}, path=str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OptionsError, match=r"KV_AUDIT is .*No such file or directory"):
        served({"KV_AUDIT": str(tmp_path / "none" / "audit.jsonl")})
    with pytest.raises(OptionsError, match="expected only one of them"):
        served({}, path=str(file), function=print)


async def test_a_hyphen_is_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    await Caller(served({"KV_AUDIT": "-"}))("PUT", "/v1/kv/a", json={"value": 1})
    assert json.loads(capfd.readouterr().err)["key"] == "a"


async def test_without_an_audit_log_nothing_is_noted() -> None:
    server = make_server(MemoryStorage({"a": 1}))
    trails: list[object] = []

    class Watcher:
        def observe(self, exchange: Any, seconds: float) -> None:
            trails.append(exchange.trail)

    server.watch(Watcher())
    await Caller(server)("GET", "/v1/kv/a")
    assert trails == [None]
