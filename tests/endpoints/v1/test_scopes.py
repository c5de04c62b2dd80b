"""Test scopes over HTTP."""

from typing import Any

import pytest

from caller import make_server
from workertown_kv import OptionsError, Server
from workertown_kv.operations import Set
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

VALUES = {"config/a": 1, "config/b": 2, "secret/a": 3, "session/1": 4}
READ_CONFIG = {"verbs": ["read", "list"], "prefixes": ["config/"]}
WRITE_SESSION = {"verbs": ["write"], "prefixes": ["session/"]}


def server_for(*scopes: object, **more: object) -> Server:
    keys = [{"name": "ci", "api_key": "k", "scopes": list(scopes), **more}]
    return make_server(MemoryStorage(VALUES), auth={"api_key": {"api_keys": keys}})


async def ask(server: Server, method: str, path: str, **given: Any) -> tuple[int, Any]:
    headers = {"Authorization": "Bearer k"}
    answer = await server.request(method, path, headers=headers, **given)
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()


async def test_a_refusal_says_which_scope_is_missing() -> None:
    status, answer = await ask(server_for(READ_CONFIG), "GET", "/v1/kv/secret/a")
    assert status == 403
    assert answer.pop("request_id")
    assert answer == {
        "status": 403,
        "success": False,
        "data": None,
        "error": "Out of scope: this needs the verb read on the key 'secret/a' "
        "in the namespace 'default'",
    }


async def test_what_one_scope_permits_is_permitted() -> None:
    server = server_for(READ_CONFIG, WRITE_SESSION)
    one = {"json": {"value": 1}}
    assert (await ask(server, "GET", "/v1/kv/config/a"))[0] == 200
    assert (await ask(server, "PUT", "/v1/kv/config/a", **one))[0] == 403
    assert (await ask(server, "PUT", "/v1/kv/session/1", **one))[0] == 200
    assert (await ask(server, "GET", "/v1/kv/session/1"))[0] == 403
    assert (await ask(server, "DELETE", "/v1/kv?key=session/1"))[0] == 200
    assert (await ask(server, "DELETE", "/v1/kv?key=session"))[0] == 403
    assert (await ask(server, "GET", "/admin/info"))[0] == 403


@pytest.mark.parametrize(
    ("verbs", "permitted"),
    [
        (["read"], ()),
        (["write"], ("touch", "describe")),
        (["read", "write"], ("touch", "describe", "increment", "merge", "patch", "take")),
    ],
)
async def test_each_change_in_one_step_needs_its_verbs(
    verbs: list[str], permitted: tuple[str, ...]
) -> None:
    server = server_for({"verbs": verbs, "prefixes": ["n/"]})
    acts: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
        "touch": ("PATCH", "", {"json": {"ttl": 60}}, {"op": "touch", "ttl": 60}),
        "describe": ("PATCH", "", {"json": {"metadata": {}}}, {"op": "touch", "metadata": {}}),
        "increment": ("PATCH", "", {"json": {"increment": 1}}, {"op": "increment", "by": 1}),
        "merge": ("PATCH", "", merge("merge", "{}"), {"op": "patch", "merge": {}}),
        "patch": ("PATCH", "", merge("json", "[]"), {"op": "patch", "json_patch": []}),
        "take": ("DELETE", "?take=true", {}, {"op": "take"}),
    }
    storage = server.runtime.storage
    for name, (method, query, given, operation) in acts.items():
        wanted = 200 if name in permitted else 403
        for once in ({}, {"Idempotency-Key": name}):
            await storage.set(Set(namespace="default", key="n/1", value=b"1"))
            headers = {"Authorization": "Bearer k", **once, **given.get("headers", {})}
            answer = await server.request(
                method, f"/v1/kv/n/1{query}", **{**given, "headers": headers}
            )
            assert answer.status_code == wanted, (name, answer.text)
            batch = {"operations": [{"key": "n/1", **operation}]}
            await storage.set(Set(namespace="default", key="n/1", value=b"1"))
            headers = {"Authorization": "Bearer k", **once}
            answer = await server.request("POST", "/v1/kv", json=batch, headers=headers)
            assert answer.status_code == (422 if once and wanted == 200 else wanted), name
        headers = {"Authorization": "Bearer k", **given.get("headers", {})}
        outside = await server.request(
            method, f"/v1/kv/other{query}", **{**given, "headers": headers}
        )
        assert outside.status_code == 403


def merge(kind: str, text: str) -> dict[str, Any]:
    media_type = f"application/{kind}-patch+json"
    return {"content": text, "headers": {"Content-Type": media_type}}


@pytest.mark.parametrize("path", ["/v1/kv/config%2Fa", "/v1/kv?key=config/a", "/v1/kv/con%66ig/a"])
async def test_a_key_is_in_scope_however_it_is_written(path: str) -> None:
    assert (await ask(server_for(READ_CONFIG), "GET", path))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/kv/secret%2Fa",
        "/v1/kv?key=%2Fconfig/a",
        "/v1/kv//config/a",
        "/v1/kv/CONFIG/a",
        "/v1/kv/config",
        "/v1/kv/config%252Fa",
    ],
)
async def test_a_key_is_out_of_scope_however_it_is_written(path: str) -> None:
    assert (await ask(server_for(READ_CONFIG), "GET", path))[0] == 403


async def test_dots_in_a_key_lead_nowhere() -> None:
    # It is a key like any other, which begins with config/; nothing resolves it.
    answered = await ask(server_for(READ_CONFIG), "GET", "/v1/kv?key=config/../secret/a")
    assert answered[0] == 404


async def test_a_listing_shows_only_what_may_be_read() -> None:
    server = server_for(READ_CONFIG, {"verbs": ["list"]}, WRITE_SESSION)
    for query, keys in (
        ("", ["config/a", "config/b"]),
        ("?prefix=con", ["config/a", "config/b"]),
        ("?prefix=config/b", ["config/b"]),
    ):
        status, answer = await ask(server, "GET", f"/v1/kv{query}")
        assert status == 200
        assert [one["key"] for one in answer["data"]["keys"]] == keys
    status, answer = await ask(server, "GET", "/v1/kv?prefix=secret/")
    assert status == 403
    assert "the verb read on keys that begin with 'secret/'" in answer["error"]


async def test_a_listing_of_several_prefixes_is_paged() -> None:
    both = {"verbs": ["read", "list"], "prefixes": ["session/", "config/", "config/a"]}
    shown, cursor = [], ""
    while True:
        _, answer = await ask(server_for(both), "GET", f"/v1/kv?limit=1{cursor}")
        shown += [one["key"] for one in answer["data"]["keys"]]
        if answer["data"]["complete"]:
            break
        cursor = f"&cursor={answer['data']['cursor']}"
    assert shown == ["config/a", "config/b", "session/1"]


async def test_a_batch_is_checked_before_anything_runs() -> None:
    server = server_for(READ_CONFIG, WRITE_SESSION)
    operations = [
        {"op": "set", "key": "session/2", "value": 1},
        {"op": "get", "key": "secret/a"},
        {"op": "delete", "key": "config/a"},
    ]
    status, answer = await ask(server, "POST", "/v1/kv", json={"operations": operations})
    assert status == 403
    assert [one["path"] for one in answer["errors"]] == [["operations", 1], ["operations", 2]]
    assert "the verb write on the key 'config/a'" in answer["errors"][1]["message"]
    storage = server.runtime.storage
    assert isinstance(storage, MemoryStorage)
    whole = make_server(storage, auth={"api_key": {"api_key": "k"}})
    assert (await ask(whole, "GET", "/v1/kv/session/2"))[0] == 404
    status, answer = await ask(server, "POST", "/v1/kv", json={"operations": operations[:1]})
    assert status == 200


async def test_what_is_out_of_scope_is_refused_before_the_body_is_read() -> None:
    server = server_for(READ_CONFIG)
    read = []

    async def receive() -> dict[str, object]:
        read.append(1)
        return {"type": "http.request", "body": b'{"value":1}'}

    sent: list[Any] = []

    async def send(message: object) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer k"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "PUT", "path": "/v1/kv/x", "headers": headers}
    await server({**scope, "query_string": b""}, receive, send)
    assert sent[0]["status"] == 403
    assert not read


async def test_admin_is_a_verb_of_its_own() -> None:
    server = server_for({"verbs": ["admin"]})
    assert (await ask(server, "GET", "/admin/info"))[0] == 200
    assert (await ask(server, "POST", "/admin/migrate", json={}))[0] == 200
    assert (await ask(server, "GET", "/v1/kv/config/a"))[0] == 403
    assert (await ask(server, "GET", "/v1/kv"))[0] == 403


async def test_an_empty_list_of_scopes_permits_nothing_and_none_at_all_everything() -> None:
    assert (await ask(server_for(), "GET", "/v1/kv/config/a"))[0] == 403
    keys = [{"name": "ci", "api_key": "k"}]
    server = make_server(MemoryStorage(VALUES), auth={"api_key": {"api_keys": keys}})
    assert (await ask(server, "GET", "/v1/kv/config/a"))[0] == 200
    assert (await ask(server, "GET", "/admin/info"))[0] == 200


async def test_the_scopes_are_listed_and_the_keys_are_not() -> None:
    server = server_for(READ_CONFIG, {"verbs": ["admin"]})
    _, answer = await ask(server, "GET", "/admin/info")
    assert answer["data"]["auth"]["api_key"]["api_keys"] == [
        {
            "name": "ci",
            "scopes": [
                {"verbs": ["read", "list"], "prefixes": ["config/"], "namespaces": None},
                {"verbs": ["admin"], "prefixes": [""], "namespaces": None},
            ],
            "not_before": None,
            "expires_at": None,
        }
    ]


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ({}, "scopes[0].verbs is missing"),
        ({"verbs": []}, "permits nothing"),
        ({"verbs": "read"}, "scopes[0].verbs is str; expected a list"),
        ({"verbs": ["reed"]}, "verbs[0] is str; expected 'read' or 'write' or 'list' or 'admin'"),
        ({"verbs": ["read"], "prefix": "a"}, "did you mean"),
        ({"verbs": ["read"], "prefixes": []}, "permits nothing"),
        ({"verbs": ["read"], "namespaces": []}, "permits nothing"),
        ({"verbs": ["read", "admin"], "prefixes": ["a"]}, "cannot narrow"),
        ({"verbs": ["read"], "prefixes": ["a"] * 101}, "more than 100"),
        ({"verbs": ["read"], "prefixes": ["a/*"]}, "'a/*'; expected 'a/', which is all keys that"),
        ({"verbs": ["read"], "prefixes": ["a/**"]}, "'a/**'; expected 'a/', which is all keys"),
        ({"verbs": ["read"], "prefixes": ["*"]}, "prefixes has '*'; expected none"),
        ({"verbs": ["read"], "prefixes": ["a\ud800"]}, "which is not UTF-8"),
        ({"verbs": ["read"], "namespaces": ["staging"]}, "has 'staging'; expected default, or an"),
        ({"verbs": ["read"], "namespaces": ["A" * 32]}, "32 hexadecimal digits"),
    ],
)
def test_a_scope_that_cannot_be_used_is_refused(scope: dict[str, object], words: str) -> None:
    with pytest.raises(OptionsError) as caught:
        server_for(scope)
    assert words in caught.value.message
    assert "auth.api_key.api_keys[0]" in caught.value.message


async def test_the_id_of_the_default_namespace_is_as_good_as_its_name() -> None:
    server = server_for({"verbs": ["read"], "namespaces": ["0" * 32]})
    assert (await ask(server, "GET", "/v1/kv/missing"))[0] == 404
