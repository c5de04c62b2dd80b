"""Test API keys that are made, used and revoked at run time, through HTTP."""

import asyncio
from base64 import b64encode
from pathlib import Path
from typing import Any, ClassVar

import httpx2
import pytest

from caller import API_KEY, Caller, make_server, on_one_storage
from workertown_kv import Server, Storage
from workertown_kv.auth.stored_api_key import FRESH_SECONDS, FRESH_WITHOUT_CHANGES_SECONDS
from workertown_kv.entry import RESERVED_NAMESPACE, Entry
from workertown_kv.errors import StorageUnavailable
from workertown_kv.operations import Get, List
from workertown_kv.storage import Capability
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio

KEYS = "/admin/api-keys"


async def made(call: Caller, name: str = "ci", **fields: Any) -> str:
    """Make a key, and return its text."""
    data = await call.data("POST", KEYS, json={"name": name, **fields})
    return str(data["api_key"])


async def answer_of(
    server: Server, key: str, method: str = "GET", url: str = "/v1/kv/a", **given: Any
) -> httpx2.Response:
    return await server.request(method, url, headers={"Authorization": f"Bearer {key}"}, **given)


async def status(server: Server, key: str, *args: str, **given: Any) -> int:
    return (await answer_of(server, key, *args, **given)).status_code


class Counted(MemoryStorage):
    """Counts the reads of API keys."""

    reads = 0
    is_down = False

    async def get(self, operation: Get) -> Entry | None:
        if operation.namespace == RESERVED_NAMESPACE:
            self.reads += 1
            if self.is_down:
                raise StorageUnavailable("It is down")
        return await super().get(operation)


class WithoutChanges(Counted):
    lacks: ClassVar = {Capability.CHANGES: "It has none."}


async def test_a_key_is_made_used_listed_and_revoked_while_the_server_runs(call: Caller) -> None:
    await call.put("a", 1)
    scopes = [{"verbs": ["read"], "prefixes": ["a"]}]
    answer = await call("POST", KEYS, json={"name": "ci", "scopes": scopes, "ttl": 60})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    new = answer.json()["data"]
    key = new.pop("api_key")
    assert key.startswith("kv_")
    assert new.keys() == {"name", "scopes", "created_at", "created_by", "expires_at"}
    assert (new["name"], new["scopes"]) == ("ci", scopes)
    assert new["created_by"] == "api_key:api_key"
    assert 59 <= new["expires_at"] - new["created_at"] <= 61
    assert await call.data("GET", KEYS) == [new]
    assert await call.data("GET", f"{KEYS}/ci") == new
    assert await status(call.server, key) == 200
    assert await status(call.server, key, "GET", "/v1/kv/b") == 403
    assert await status(call.server, key, "DELETE") == 403
    assert await status(call.server, key, "GET", KEYS) == 403
    rest = f"/client/v4/accounts/x/storage/kv/namespaces/{'0' * 32}/values/a"
    assert await status(call.server, key, "GET", rest) == 200
    binding = await call.server.request(
        "GET", "/a", headers={"Authorization": f"Bearer {key}", "CF-KV-FLPROD-405": "x"}
    )
    assert binding.status_code in (200, 404)
    assert await call.data("DELETE", f"{KEYS}/ci") is True
    assert await status(call.server, key) == 401
    assert await call.data("GET", KEYS) == []
    for method in ("GET", "DELETE"):
        assert (await call(method, f"{KEYS}/ci")).status_code == 404


async def test_only_the_answer_that_makes_a_key_has_the_key(call: Caller) -> None:
    key = await made(call)
    storage = call.server.runtime.storage
    page = await storage.list(List(RESERVED_NAMESPACE, "", 100))
    secret = key[24:]  # which may have a "_", too
    for info in page.keys:
        entry = await storage.get(Get(RESERVED_NAMESPACE, info.key))
        assert entry is not None
        assert secret.encode() not in entry.value
        assert secret not in info.key
    for url in (KEYS, f"{KEYS}/ci"):
        text = (await call("GET", url)).text
        assert secret not in text
        assert "sha256" not in text


async def test_what_is_nearly_a_key_is_refused(call: Caller) -> None:
    key = await made(call)
    other = await made(call, "other")
    beginning, id, secret = key[:3], key[3:23], key[24:]
    for wrong in (
        key[:-1],
        key + "A",
        f"{beginning}{other[3:23]}_{secret}",
        f"{beginning}{id}_{'A' * 43}",
        f"{beginning}{id}_",
        secret,
        key.upper(),
    ):
        assert await status(call.server, wrong) == 401
    digest = "0" * 64
    assert await status(call.server, f"sha256:{digest}") == 401
    basic = await call.server.request("GET", "/v1/kv/a", headers={"Authorization": f"Basic {key}"})
    assert basic.status_code == 401


@on_one_storage
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "name"),
        ({"name": ""}, "1 to 200 characters"),
        ({"name": "a" * 201}, "1 to 200 characters"),
        ({"name": "a:b"}, "without colons"),
        ({"name": "a/b"}, "slashes"),
        ({"name": ".."}, "other than . and .."),
        ({"name": "a\nb"}, "control characters"),
        ({"name": 1}, "Expected `str`"),
        ({"name": "a", "scope": []}, "expected name, scopes, ttl, expires_at, not_before"),
        ({"name": "a", "scopes": [{"verbs": ["reed"]}]}, "reed"),
        ({"name": "a", "scopes": [{"verbs": ["read"], "prefix": "x"}]}, "expected verbs, prefixes"),
        ({"name": "a", "scopes": [{"verbs": []}]}, "verbs is empty"),
        ({"name": "a", "scopes": [{"verbs": ["read"], "prefixes": ["x*"]}]}, "expected 'x'"),
        (
            {"name": "a", "scopes": [{"verbs": ["read"], "namespaces": [RESERVED_NAMESPACE]}]},
            "expected default, or an id",
        ),
        ({"name": "a", "scopes": [{"verbs": ["read"]}] * 101}, "more than 100"),
        ({"name": "a", "ttl": 0}, "at least 1"),
        ({"name": "a", "ttl": 1, "expires_at": 2_000_000_000}, "not both"),
        ({"name": "a", "expires_at": 1}, "in the future"),
        ({"name": "a", "ttl": 5, "not_before": 4_000_000_000}, "before the key expires"),
        ({"name": "a", "not_before": -1}, "Unix seconds"),
        ([], "expected a JSON object".capitalize()),
    ],
)
async def test_what_makes_no_sense_is_refused(call: Caller, body: Any, said: str) -> None:
    answer = await call("POST", KEYS, json=body)
    assert answer.status_code == 400
    assert said in answer.json()["errors"][0]["message"] + str(answer.json()["errors"][0]["path"])
    assert await call.data("GET", KEYS) == []


async def test_a_form_cannot_make_a_key(call: Caller) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/octet-stream"):
        headers = {"Content-Type": kind}
        answer = await call("POST", KEYS, content='{"name": "a"}', headers=headers)
        assert answer.status_code == 415
    assert (await call("POST", KEYS, json={"name": "a"}, params={"x": "1"})).status_code == 400
    assert await call.data("GET", KEYS) == []


async def test_a_name_belongs_to_one_key_at_a_time(call: Caller) -> None:
    first = await made(call, "ci\u00e9 1?")
    answer = await call("POST", KEYS, json={"name": "cie\u0301 1?"})
    assert answer.status_code == 409
    assert "already" in answer.json()["error"]
    assert await call.data("DELETE", f"{KEYS}/cie%CC%81%201%3F") is True
    second = await made(call, "ci\u00e9 1?")
    await call.put("a", 1)
    assert await status(call.server, first) == 401
    assert await status(call.server, second) == 200


async def test_a_key_is_valid_from_its_beginning_to_its_end() -> None:
    clock = MovedClock()
    call = Caller(make_server(MemoryStorage({"a": 1}, clock=clock)))
    now = int(clock())
    key = await made(call, not_before=now + 10, expires_at=now + 20)
    for seconds, expected in ((0, 401), (10, 200), (9.5, 200), (0.5, 401)):
        clock.move(seconds)
        assert await status(call.server, key) == expected
    assert await call.data("GET", KEYS) == []
    await made(call, "ci")  # the name is free again


@pytest.mark.parametrize(
    ("kind", "fresh"),
    [(Counted, FRESH_SECONDS), (WithoutChanges, FRESH_WITHOUT_CHANGES_SECONDS)],
)
async def test_a_key_is_read_once_in_a_while(kind: type[Counted], fresh: float) -> None:
    assert fresh < 1 or Capability.CHANGES in kind.lacks
    clock = MovedClock()
    storage = kind({"a": 1}, clock=clock)
    call = Caller(make_server(storage))
    key = await made(call)
    for _ in range(3):
        assert await status(call.server, key) == 200
    assert storage.reads == 1
    assert await status(call.server, API_KEY) == 200
    assert storage.reads == 1
    clock.move(fresh + 0.01)
    assert await status(call.server, key) == 200
    assert storage.reads == 2
    # If the clock was set back, nobody knows how old a read is.
    clock.move(-3600)
    assert await status(call.server, key) == 200
    assert storage.reads == 3


async def test_while_the_storage_is_down_a_stored_key_gets_503_and_others_do_not() -> None:
    clock = MovedClock()
    storage = Counted({"a": 1}, clock=clock)
    call = Caller(make_server(storage))
    key = await made(call)
    assert await status(call.server, key) == 200
    clock.move(FRESH_SECONDS)
    storage.is_down = True
    refused = await answer_of(call.server, key)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert await status(call.server, API_KEY) == 200
    assert await status(call.server, "wrong") == 401
    storage.is_down = False
    assert await status(call.server, key) == 200


async def test_servers_of_one_file_see_each_others_keys_and_revocations(tmp_path: Path) -> None:
    clock = MovedClock()
    first, second = (
        Caller(make_server(SqliteStorage(tmp_path / "kv.sqlite", clock=clock))) for _ in range(2)
    )
    async with first.server, second.server:
        await first.put("a", 1)
        old = await made(first)
        assert await status(second.server, old) == 200
        assert await first.data("DELETE", f"{KEYS}/ci") is True
        clock.move(FRESH_SECONDS)
        assert await status(second.server, old) == 401
        # A key of the same name works at once, although the other server refused the old key.
        new = await made(first)
        assert await status(second.server, new) == 200
        assert await status(second.server, old) == 401


class Held(MemoryStorage):
    """Answers a read of an API key only when a test lets it, with what was there when it came."""

    asked: asyncio.Event | None = None
    may_answer: asyncio.Event

    async def get(self, operation: Get) -> Entry | None:
        found = await super().get(operation)
        asked, self.asked = self.asked, None
        if asked is not None:
            asked.set()
            await self.may_answer.wait()
        return found


async def test_what_was_read_while_a_key_was_revoked_is_not_believed_later() -> None:
    storage = Held({"a": 1})
    call = Caller(make_server(storage))
    key = await made(call)
    asked = storage.asked = asyncio.Event()
    storage.may_answer = asyncio.Event()
    async with asyncio.timeout(60):
        asking = asyncio.create_task(status(call.server, key))
        await asked.wait()
        assert await call.data("DELETE", f"{KEYS}/ci") is True
        storage.may_answer.set()
        assert await asking == 200
        assert await status(call.server, key) == 401


async def test_a_ticket_ends_with_the_key_that_asked_for_it() -> None:
    call = Caller(make_server(MemoryStorage()))
    key = await made(call)
    user = (await answer_of(call.server, key, url="/v1/whoami")).json()["data"]
    assert (user["id"], user["strategy"]) == ("ci", "stored_api_key")
    tickets = []
    for _ in range(2):
        answer = await answer_of(call.server, key, "POST", "/v1/changes/tickets", json={})
        tickets.append(answer.json()["data"]["ticket"])
    url = f"/v1/changes?ticket={tickets[0]}"
    assert (await call.server.request("GET", url)).status_code == 200
    await call.data("DELETE", f"{KEYS}/ci")
    url = f"/v1/changes?ticket={tickets[1]}"
    assert (await call.server.request("GET", url)).status_code == 401


@pytest.mark.parametrize("lack", ["PRECONDITIONS", "LISTING", "NAMESPACES", "RESERVED"])
async def test_a_storage_that_cannot_keep_keys_says_why(lack: str) -> None:
    class Plain(MemoryStorage):
        lacks: ClassVar = {Capability[lack]: "It only overwrites."}

    call = Caller(make_server(Plain()))
    for method, url in (
        ("GET", KEYS),
        ("POST", KEYS),
        ("GET", f"{KEYS}/a"),
        ("DELETE", f"{KEYS}/a"),
    ):
        answer = await call(method, url, **({"json": {"name": "a"}} if method == "POST" else {}))
        assert answer.status_code == 501
        assert "It only overwrites." in answer.json()["error"]
    assert await status(call.server, f"kv_{'0' * 20}_{'A' * 43}") == 401


@pytest.mark.parametrize("off", ["stored_api_keys", "api_key"])
async def test_stored_keys_can_be_turned_off(off: str) -> None:
    storage = MemoryStorage({"a": 1})
    key = await made(Caller(make_server(storage)))
    auth: Any = {"api_key": {"api_key": API_KEY}, "basic": {"username": "u", "password": "p"}}
    call = Caller(make_server(storage, auth=auth | {off: False}))
    assert await status(call.server, key) == 401
    headers = {"Authorization": f"Basic {b64encode(b'u:p').decode()}"}
    assert (await call("GET", KEYS, headers=headers)).status_code == 404
    described = (await call("GET", "/open-api.json")).json()
    assert not [path for path in described["paths"] if path.startswith(KEYS)]


async def test_a_server_without_other_credentials_accepts_stored_keys() -> None:
    storage: Storage = MemoryStorage({"a": 1})
    key = await made(Caller(make_server(storage)))
    server = make_server(storage, auth={})
    assert await status(server, key) == 200
    refused = await server.request("GET", "/v1/kv/a")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_the_log_does_not_call_a_key_a_wrong_token(caplog: pytest.LogCaptureFixture) -> None:
    secret = "a secret that both sides know, of 32 bytes and more"
    auth = {"api_key": {"api_key": API_KEY}, "jwt": {"secret": secret}}
    server = make_server(MemoryStorage(), auth=auth)
    key = await made(Caller(server))
    assert await status(server, key) == 404
    assert "JWT is refused" not in caplog.text
    assert await status(server, f"{key}x") == 401
    assert "JWT is refused" in caplog.text
