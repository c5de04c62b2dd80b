"""Test deleting all keys with a prefix over HTTP."""

from typing import Any
from urllib.parse import quote

import pytest

from caller import Caller, make_server, on_one_storage
from workertown_kv.endpoints.v1.kv import deletion
from workertown_kv.operations import DeletePrefix, Deletion, Get
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

KEYS = ["a", "s/1", "s/2", "s/3", "s0", "t/1"]
ALL = {"cursor": None, "complete": True}


@pytest.fixture
async def filled(call: Caller) -> Caller:
    for key in KEYS:
        await call.data("PUT", f"/v1/kv?key={quote(key, safe='')}", json={"value": 1})
    return call


async def keys_of(call: Caller) -> list[str]:
    return [one["key"] for one in (await call.data("GET", "/v1/kv"))["keys"]]


async def test_all_keys_with_a_prefix_are_deleted(filled: Caller) -> None:
    assert await filled.data("DELETE", "/v1/kv?prefix=s/") == {"deleted": 3, **ALL}
    assert await keys_of(filled) == ["a", "s0", "t/1"]
    assert await filled.data("DELETE", "/v1/kv?prefix=s/") == {"deleted": 0, **ALL}
    assert (await filled("GET", "/v1/kv/s%2F1")).status_code == 404


async def test_all_keys_of_a_namespace_are_deleted(filled: Caller) -> None:
    made = await filled.data("POST", "/admin/namespaces", json={"title": "other"})
    await filled.data("PUT", "/v1/kv/x?namespace=other", json={"value": 1})
    assert await filled.data("DELETE", "/v1/kv?all=true") == {"deleted": 6, **ALL}
    assert await keys_of(filled) == []
    answer = await filled.data("GET", f"/v1/kv?namespace={made['id']}")
    assert [one["key"] for one in answer["keys"]] == ["x"]
    await filled.data("DELETE", "/v1/kv?all=true&namespace=other")
    assert (await filled.data("GET", "/v1/kv?namespace=other"))["keys"] == []


async def test_a_dry_run_only_counts(filled: Caller) -> None:
    assert await filled.data("DELETE", "/v1/kv?prefix=s/&dry_run=true") == {"deleted": 3, **ALL}
    assert await filled.data("DELETE", "/v1/kv?all=true&dry_run=true") == {"deleted": 6, **ALL}
    assert await keys_of(filled) == KEYS
    assert await filled.data("DELETE", "/v1/kv?prefix=s/&dry_run=false") == {"deleted": 3, **ALL}


@pytest.mark.parametrize("dry_run", ["true", "false"])
async def test_a_request_has_a_limit_and_its_cursor_continues(
    filled: Caller, monkeypatch: pytest.MonkeyPatch, dry_run: str
) -> None:
    monkeypatch.setattr(deletion, "MOST_DELETED", 2)
    url = f"/v1/kv?prefix=s/&dry_run={dry_run}"
    first = await filled.data("DELETE", url)
    assert (first["deleted"], first["complete"]) == (2, False)
    # What is written behind the cursor stays.
    await filled.put("s%2F0", 1)
    last = await filled.data("DELETE", f"{url}&cursor={first['cursor']}")
    assert last == {"deleted": 1, **ALL}
    left = ["s/0"] if dry_run == "false" else ["s/0", "s/1", "s/2", "s/3"]
    assert await keys_of(filled) == ["a", *left, "s0", "t/1"]


async def test_a_cursor_fits_only_its_own_deletion(
    filled: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "MOST_DELETED", 1)
    counted = (await filled.data("DELETE", "/v1/kv?prefix=s/&dry_run=true"))["cursor"]
    listed = (await filled.data("GET", "/v1/kv?prefix=s/&limit=1"))["cursor"]
    deleted = (await filled.data("DELETE", "/v1/kv?prefix=s/"))["cursor"]
    for query in (
        f"prefix=s/&cursor={counted}",
        f"prefix=s/&cursor={listed}",
        f"prefix=s/&dry_run=true&cursor={deleted}",
        f"prefix=t/&cursor={deleted}",
        "prefix=s/&cursor=x",
    ):
        assert (await filled("DELETE", f"/v1/kv?{query}")).status_code == 400, query
    assert (await filled("GET", f"/v1/kv?prefix=s/&cursor={deleted}")).status_code == 400
    assert await keys_of(filled) == ["a", "s/2", "s/3", "s0", "t/1"]


@on_one_storage
@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "key"),
        ("namespace=default", "key"),
        ("prefix=", "prefix"),
        ("all=", "all"),
        ("all=false", "all"),
        ("all=1", "all"),
        ("all=true&prefix=s/", "all"),
        ("all=true&prefix=", "all"),
        ("all=true&key=a", "key"),
        ("prefix=s/&key=a", "key"),
        ("key=a&dry_run=true", "key"),
        ("dry_run=true", "prefix"),
        ("cursor=x.y", "cursor"),
        ("prefix=s/&dry_run=yes", "dry_run"),
        ("prefix=s/&limit=0", "limit"),
        ("prefix=s/&prefix=t/", "prefix"),
    ],
)
async def test_a_request_that_names_no_prefix_clearly_deletes_nothing(
    filled: Caller, query: str, name: str
) -> None:
    answer = await filled("DELETE", f"/v1/kv?{query}")
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["location"], error["path"]) == ("query", [name])
    assert "Expected" in error["message"]
    assert await keys_of(filled) == KEYS


@on_one_storage
@pytest.mark.parametrize("field", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("query", ["prefix=s/", "all=true", "prefix=s/&dry_run=true"])
async def test_a_prefix_takes_no_condition(filled: Caller, field: str, query: str) -> None:
    answer = await filled("DELETE", f"/v1/kv?{query}", headers={field: "*"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == [field.lower()]
    assert await keys_of(filled) == KEYS


async def test_a_key_in_the_query_is_deleted_by_itself(filled: Caller) -> None:
    assert await filled.data("DELETE", "/v1/kv?key=s/1") is True
    answer = await filled("DELETE", "/v1/kv?key=s/2", headers={"If-Match": '"x"'})
    assert answer.status_code == 412
    assert await keys_of(filled) == ["a", "s/2", "s/3", "s0", "t/1"]


SCOPES: dict[str, list[dict[str, Any]]] = {
    "write": [{"verbs": ["write"], "prefixes": ["s/"]}],
    "write and list": [{"verbs": ["write", "list"], "prefixes": ["s/"]}],
    "parts": [{"verbs": ["write", "list"], "prefixes": ["s/1", "s/2", "s/3"]}],
    "list": [{"verbs": ["list", "read"]}],
    "all": [{"verbs": ["write", "list"]}],
}


@pytest.mark.parametrize(
    ("scopes", "query", "status"),
    [
        ("write", "prefix=s/", 200),
        ("write", "prefix=s/1", 200),
        ("write", "prefix=s", 403),
        ("write", "all=true", 403),
        ("write", "prefix=s/&dry_run=true", 403),
        ("write and list", "prefix=s/&dry_run=true", 200),
        ("write and list", "prefix=s&dry_run=true", 403),
        ("parts", "prefix=s/", 403),
        ("list", "prefix=s/", 403),
        ("list", "prefix=s/&dry_run=true", 403),
        ("all", "all=true", 200),
        ("all", "all=true&dry_run=true", 200),
    ],
)
async def test_a_scope_has_to_cover_the_whole_prefix(scopes: str, query: str, status: int) -> None:
    keys = [{"name": "ci", "api_key": "k", "scopes": SCOPES[scopes]}]
    storage = MemoryStorage(dict.fromkeys(KEYS, 1))
    server = make_server(storage, auth={"api_key": {"api_keys": keys}})
    headers = {"Authorization": "Bearer k"}
    answer = await server.request("DELETE", f"/v1/kv?{query}", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert "Out of scope: this needs the verb" in answer.json()["error"]
    if status == 403 or "dry_run" in query:
        for key in KEYS:
            assert await storage.get(Get("default", key)) is not None


async def test_a_deletion_reaches_past_the_cache() -> None:
    class Slow(MemoryStorage):
        async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
            done = await super().delete_prefix(operation)
            # Another request reads while the deletion is under way.
            assert (await call("GET", "/v1/kv/a")).status_code == 404
            return done

    call = Caller(make_server(Slow({"a": 1, "b": 2}), cache={"ttl": 60}))
    for key in "ab":
        assert (await call("GET", f"/v1/kv/{key}")).status_code == 200
    await call.data("DELETE", "/v1/kv?prefix=a")
    await call.put("a", 3)
    assert await call.data("GET", "/v1/kv/a") == 3
    assert await call.data("DELETE", "/v1/kv?all=true") == {"deleted": 2, **ALL}
    for key in "ab":
        assert (await call("GET", f"/v1/kv/{key}")).status_code == 404
