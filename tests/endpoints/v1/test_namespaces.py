"""Test namespaces, which the admin endpoints make, and a header field or the query names."""

from typing import Any

import pytest

from caller import Caller, make_server
from workertown_kv.operations import List
from workertown_kv.storage import Capability, Storage
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

DEFAULT_ID = "0" * 32


async def make(call: Caller, title: str) -> str:
    made = await call.data("POST", "/admin/namespaces", json={"title": title})
    assert made == {"id": made["id"], "title": title}
    return str(made["id"])


async def test_there_is_always_the_default_namespace(call: Caller) -> None:
    default = {"id": DEFAULT_ID, "title": "default"}
    assert await call.data("GET", "/admin/namespaces") == [default]
    for name in ("default", DEFAULT_ID):
        assert await call.data("GET", f"/admin/namespaces/{name}") == default
        assert await call.data("PUT", f"/v1/kv/a?namespace={name}", json={"value": name}) == name
        assert await call.data("GET", "/v1/kv/a") == name


async def test_a_namespace_is_reached_by_header_or_query_by_id_or_title(call: Caller) -> None:
    await call.put("a", "of the default one")
    id = await make(call, "staging: ä/b")
    for name in (id, "staging: ä/b"):
        for given in (
            {"headers": {"X-KV-Namespace": name.encode()}},
            {"params": {"namespace": name}},
            {"params": {"namespace": name}, "headers": {"X-KV-Namespace": name.encode()}},
        ):
            value = {"value": [name, str(given)]}
            await call.data("PUT", "/v1/kv/a", json=value, **given)
            assert await call.data("GET", "/v1/kv/a", **given) == value["value"]
            page = await call.data("GET", "/v1/kv", **given)
            assert [one["key"] for one in page["keys"]] == ["a"]
            operations = [{"op": "get", "key": "a"}, {"op": "set", "key": "b", "value": 1}]
            results = await call.data("POST", "/v1/kv", json={"operations": operations}, **given)
            assert results[0]["value"] == value["value"]
            assert await call.data("DELETE", "/v1/kv/b", **given)
    assert await call.data("GET", "/v1/kv/a") == "of the default one"
    assert await call.data("GET", f"/v1/kv?key=a&namespace={id}")
    assert (await call("HEAD", f"/v1/kv/a?namespace={id}")).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_missing_namespace_is_404_and_says_so(call: Caller, method: str) -> None:
    body: dict[str, Any] = {"json": {"value": 1}} if method == "PUT" else {}
    for name in ("nowhere", "f" * 32, "x" * 600):
        answer = await call(method, f"/v1/kv/a?namespace={name}", **body)
        assert answer.status_code == 404
        assert f"no namespace '{name[:100]}'" in answer.json()["error"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"params": {"namespace": ""}}, "Expected the id or title"),
        ({"headers": {"X-KV-Namespace": ""}}, "Expected the id or title"),
        ({"headers": {"X-KV-Namespace": b"\xff"}}, "Expected UTF-8"),
        (
            {"params": {"namespace": "one"}, "headers": {"X-KV-Namespace": "default"}},
            "Expected the same namespace here as in the query",
        ),
    ],
)
async def test_a_namespace_that_is_not_clear_is_400(
    call: Caller, given: dict[str, Any], message: str
) -> None:
    await make(call, "one")
    answer = await call("PUT", "/v1/kv/a", json={"value": 1}, **given)
    assert answer.status_code == 400
    assert message in answer.text


async def test_namespaces_are_listed_by_title_renamed_and_deleted(
    call: Caller, storage: Storage
) -> None:
    two, one = await make(call, "two"), await make(call, "one")
    listed = await call.data("GET", "/admin/namespaces")
    assert [each["title"] for each in listed] == ["default", "one", "two"]
    await call.data("PUT", "/v1/kv/a?namespace=one", json={"value": 1})

    renamed = await call.data("PUT", "/admin/namespaces/one", json={"title": "three"})
    assert renamed == {"id": one, "title": "three"}
    assert await call.data("GET", "/v1/kv/a?namespace=three") == 1
    assert (await call("GET", "/v1/kv/a?namespace=one")).status_code == 404

    assert await call.data("DELETE", f"/admin/namespaces/{one}") is True
    for path in (f"/admin/namespaces/{one}", "/v1/kv/a?namespace=three", f"/v1/kv?namespace={one}"):
        assert (await call("GET", path)).status_code == 404
    assert [each["id"] for each in await call.data("GET", "/admin/namespaces")] == [DEFAULT_ID, two]
    await call.server.namespaces.purge(10)
    assert not (await storage.list(List(one, "", 10))).keys


async def test_a_title_that_is_taken_is_409(call: Caller) -> None:
    await make(call, "one")
    await make(call, "two")
    for method, path in (("POST", "/admin/namespaces"), ("PUT", "/admin/namespaces/two")):
        for title in ("one", "default"):
            answer = await call(method, path, json={"title": title})
            assert answer.status_code == 409
            assert f"a namespace with the title '{title}' already" in answer.json()["error"]
    # A namespace may keep its own title.
    assert (await call.data("PUT", "/admin/namespaces/two", json={"title": "two"}))[
        "title"
    ] == "two"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"title":1}', b'{"title":"a","x":1}', b'{"title":"\xff"}', b"{"]
)
async def test_a_body_without_a_title_is_400(call: Caller, body: bytes) -> None:
    json = {"Content-Type": "application/json"}
    answer = await call("POST", "/admin/namespaces", content=body, headers=json)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["location"] == "body"


@pytest.mark.parametrize("title", ["", "x" * 513])
async def test_a_title_has_1_to_512_characters(call: Caller, title: str) -> None:
    answer = await call("POST", "/admin/namespaces", json={"title": title})
    assert answer.status_code == 400
    assert "expected 1 to 512" in answer.json()["error"]
    await make(call, "😀" * 512)


async def test_the_default_namespace_stays_as_it_is(call: Caller) -> None:
    renamed = await call("PUT", "/admin/namespaces/default", json={"title": "other"})
    deleted = await call("DELETE", "/admin/namespaces/default")
    assert (renamed.status_code, deleted.status_code) == (400, 400)
    assert deleted.json()["error"] == "The default namespace cannot be deleted"


async def test_scopes_name_namespaces_by_their_ids() -> None:
    storage = MemoryStorage()
    async with make_server(storage) as server:
        id = await make(Caller(server), "theirs")
        await make(Caller(server), "others")
    scopes = [{"verbs": ["read", "write", "list"], "namespaces": [id]}]
    auth = {"api_key": {"api_keys": [{"name": "one", "api_key": "test-key", "scopes": scopes}]}}
    async with make_server(storage, auth=auth) as server:
        call = Caller(server)
        for name in (id, "theirs"):
            assert await call.data("PUT", f"/v1/kv/a?namespace={name}", json={"value": 1}) == 1
        for path in ("/v1/kv/a", "/v1/kv/a?namespace=others", "/v1/kv?namespace=others"):
            assert (await call("GET", path)).status_code == 403
        assert (await call("GET", "/admin/namespaces")).status_code == 403


async def test_a_storage_with_one_namespace_answers_501() -> None:
    class Single(MemoryStorage):
        lacks = {Capability.NAMESPACES: "It is one binding."}  # noqa: RUF012  (as storages declare it)

    async with make_server(Single()) as server:
        call = Caller(server)
        answer = await call("POST", "/admin/namespaces", json={"title": "another"})
        assert answer.status_code == 501
        assert answer.json()["error"] == "This storage has no namespaces. It is one binding."
        assert [one["title"] for one in await call.data("GET", "/admin/namespaces")] == ["default"]
        assert (await call("GET", "/v1/kv/a?namespace=another")).status_code == 404


async def test_another_process_sees_what_was_made_and_deleted() -> None:
    storage = MemoryStorage()
    async with make_server(storage) as one, make_server(storage) as other:
        here, there = Caller(one), Caller(other)
        id = await make(here, "shared")
        await there.data("PUT", "/v1/kv/a?namespace=shared", json={"value": 1})
        await here.data("DELETE", f"/admin/namespaces/{id}")
        # A write always asks the storage; a read may use a recent answer.
        answer = await there("PUT", f"/v1/kv/a?namespace={id}", json={"value": 2})
        assert answer.status_code == 404
        storage.clock = lambda: 9e9
        assert (await there("GET", f"/v1/kv/a?namespace={id}")).status_code == 404


async def test_a_namespace_of_another_store_is_restored_with_its_id(call: Caller) -> None:
    new = {"title": "moved", "id": "a" * 32}
    assert await call.data("POST", "/admin/namespaces", json=new) == new
    for body in (new, {**new, "title": "other"}, {**new, "id": "b" * 32}):
        answer = await call("POST", "/admin/namespaces", json=body)
        assert answer.status_code == 409
    for id in ("a", "A" * 32, DEFAULT_ID):
        answer = await call("POST", "/admin/namespaces", json={"title": "x", "id": id})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["path"] == ["id"]
