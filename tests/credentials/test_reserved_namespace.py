"""Test that nothing reaches the namespace in which servers keep their own entries."""

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from caller import Caller, make_server
from workertown_kv import Scope, Storage
from workertown_kv.changes.interest import is_reserved
from workertown_kv.cli import main
from workertown_kv.entry import RESERVED_NAMESPACE, Entry
from workertown_kv.operations import Get, List
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.sqlite import SqliteStorage

Reserved = Mapping[str, bytes]

TEXT: Final = {"Content-Type": "application/json"}
BODIES: Final[Mapping[str, Any]] = {
    "PUT": {"value": 1},
    "PATCH": {"ttl": 60},
    "POST": {"operations": [{"op": "set", "key": "x", "value": 1}, {"op": "get", "key": "x"}]},
    "DELETE": None,
}
OWN: Final = {"/admin/api-keys", "/admin/namespaces", "/admin/api-keys/{name}"}
"""The routes that are there to change what servers keep, in ways of their own."""


async def _fill(call: Caller) -> None:
    """Let a server keep an entry of each kind."""
    await call.put("a", 1)
    await call.data("POST", "/admin/api-keys", json={"name": "ci"})
    await call.data("POST", "/admin/namespaces", json={"title": "photos"})
    await call.data("POST", "/admin/namespaces", json={"title": "gone"})
    await call("DELETE", "/admin/namespaces/gone")
    made = await call.data("POST", "/v1/changes/tickets", json={})
    assert (await call.server.request("GET", f"/v1/changes?ticket={made['ticket']}")).is_success
    headers = {"Idempotency-Key": "k"}
    await call.data("PATCH", "/v1/kv/n", json={"increment": 1}, headers=headers)


async def reserved_in(storage: Storage) -> Reserved:
    """Return the entries of the reserved namespace."""
    page = await storage.list(List(RESERVED_NAMESPACE, "", 1000))
    found = {}
    for info in page.keys:
        entry = await storage.get(Get(RESERVED_NAMESPACE, info.key))
        assert isinstance(entry, Entry)
        found[info.key] = entry.value
    return found


def _named(name: str, key: str) -> str:
    """Return the text for a variable part of a path."""
    is_namespace = name in ("namespace", "namespace_id")
    return RESERVED_NAMESPACE if is_namespace else {"account_id": "a"}.get(name, key)


def _requests() -> Iterator[tuple[str, str, str]]:
    """Yield each path that an API has, with its methods."""
    for route in make_server(MemoryStorage()).api_routes:
        mark = "" if route.mark is None else route.mark.decode()
        for path, methods in route.templates.items():
            for method in sorted(methods - {"HEAD"}):
                if path not in OWN or method == "GET":
                    yield method, path, mark


def _leaks(text: bytes, kept: Reserved) -> list[str]:
    """Return the keys of the entries of which an answer shows what is secret in the value."""
    found = []
    for key, value in kept.items():
        if key.startswith(("{namespaces}", "{changes}used:")):
            continue  # the ids and titles of namespaces are no secrets, nor is `true`
        hashes = re.findall(rb"[0-9a-f]{64}", value)
        if any(secret in text for secret in (value, b64encode(value), *hashes)):
            found.append(key)
    return found


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "path", "mark"), [*_requests()])
async def test_no_request_names_reads_or_changes_the_reserved_namespace(
    method: str, path: str, mark: str
) -> None:
    storage = MemoryStorage()
    call = Caller(make_server(storage))
    await _fill(call)
    before = await reserved_in(storage)
    for kind in ("{api-keys}", "{namespaces}id:", "{namespaces}gone:", "{changes}key"):
        assert any(key.startswith(kind) for key in before)
    body = json.dumps(BODIES[method]) if BODIES.get(method) else None
    key = next(key for key in before if key.startswith("{api-keys}"))
    url = path
    for name in re.findall("{([a-z_]+)}", path):
        url = url.replace(f"{{{name}}}", _named(name, quote(key)))
    named = f"?namespace={RESERVED_NAMESPACE}"
    for query, fields in (
        (named, {}),
        ("", {"X-KV-Namespace": RESERVED_NAMESPACE}),
        (f"{named}&key={quote(key)}", {}),
        (f"{named}&prefix=%7B", {}),
        (f"{named}&all=true", {}),
        ("?namespace=*&prefix=", {}),
        ("?values=true&prefix=", {}),
        ("", {}),
    ):
        headers = {**TEXT, **fields, **({mark: "x"} if mark else {})}
        answer = await call(method, url + query, headers=headers, content=body)
        assert _leaks(answer.content, before) == []
        if (fields or query.startswith(named)) and path.startswith("/v1/kv"):
            assert answer.status_code in (400, 404)
    after = await reserved_in(storage)
    # Entries may be added, such as the name of a namespace, but none may change.
    assert {key: after.get(key) for key in before} == before


@pytest.mark.anyio
async def test_changes_show_nothing_of_the_reserved_namespace() -> None:
    storage = MemoryStorage()
    call = Caller(make_server(storage))
    cursor = (await call.data("GET", "/v1/changes?namespace=*"))["cursor"]
    await _fill(call)
    page = await call.data("GET", f"/v1/changes?namespace=*&values=true&since={cursor}")
    assert {one["namespace"] for one in page["changes"]} == {"default"}
    assert {one["key"] for one in page["changes"]} == {"a", "n"}
    for body in (
        {"namespace": RESERVED_NAMESPACE},
        {"prefixes": [""], "namespace": "workertown-kv"},
    ):
        assert (await call("POST", "/v1/changes/tickets", json=body)).status_code == 404


@pytest.mark.anyio
async def test_a_title_like_the_reserved_namespace_is_another_namespace() -> None:
    storage = MemoryStorage()
    call = Caller(make_server(storage))
    await _fill(call)
    before = await reserved_in(storage)
    made = await call.data("POST", "/admin/namespaces", json={"title": RESERVED_NAMESPACE})
    for id in (RESERVED_NAMESPACE, "workertown-kv ", "WORKERTOWN-KV"):
        body = {"title": "x", "id": id}
        assert (await call("POST", "/admin/namespaces", json=body)).status_code == 400
    query = f"?namespace={RESERVED_NAMESPACE}"
    assert (await call.data("GET", f"/v1/kv{query}"))["keys"] == []
    assert await call.data("PUT", f"/v1/kv/x{query}", json={"value": 1}) == 1
    assert await call.data("DELETE", f"/v1/kv{query}&all=true")
    after = await reserved_in(storage)
    assert {key: after.get(key) for key in before} == before
    assert made["id"] != RESERVED_NAMESPACE


def test_no_scope_names_the_reserved_namespace() -> None:
    assert is_reserved(RESERVED_NAMESPACE)
    with pytest.raises(ValueError, match="expected default, or an id"):
        Scope(verbs=("read",), namespaces=(RESERVED_NAMESPACE,))


HEADER: Final = '{"workertown_kv_export": 1, "at": 1795905459}\n'


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run the command on a store in which a server has kept entries of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KV_PROFILES", str(tmp_path / "profiles.json"))

    async def fill() -> None:
        async with make_server(SqliteStorage("kv.sqlite")) as server:
            await _fill(Caller(server))

    asyncio.run(fill())
    return lambda *args, **more: CliRunner().invoke(main, args, **more)


async def _kept() -> Reserved:
    storage = SqliteStorage("kv.sqlite")
    await storage.open()
    try:
        return await reserved_in(storage)
    finally:
        await storage.close()


def test_no_command_names_the_reserved_namespace(invoke: Callable[..., Any]) -> None:
    before = asyncio.run(_kept())
    exported = invoke("export", "-").stdout
    flag = ("--namespace", RESERVED_NAMESPACE)
    for command in (
        ("get", "{changes}key"),
        ("set", "{changes}key", "1"),
        ("delete", "{changes}key"),
        ("delete", "--prefix", "{", "--yes"),
        ("list",),
        ("touch", "{changes}key", "--ttl", "1"),
        ("watch",),
        ("export", "-"),
        ("import", "-"),
        ("copy", "kv.sqlite", "other.sqlite"),
    ):
        ended = invoke(*command, *flag, input=exported)
        assert ended.exit_code not in (0, 70), (command, ended.output)
        assert "There is no namespace 'workertown-kv'" in ended.stderr, (command, ended.stderr)
    for command in (("rename", RESERVED_NAMESPACE, "x"), ("delete", RESERVED_NAMESPACE, "--yes")):
        ended = invoke("namespace", *command)
        assert (ended.exit_code, ended.stdout) == (3, "")
    assert asyncio.run(_kept()) == before


def test_no_export_import_or_copy_has_the_entries_of_servers(
    invoke: Callable[..., Any], tmp_path: Path
) -> None:
    before = asyncio.run(_kept())
    exported = invoke("export", "all.ndjson")
    assert exported.exit_code == 0, exported.output
    text = (tmp_path / "all.ndjson").read_bytes()
    assert b'"key":"a"' in text.replace(b" ", b"")
    assert _leaks(text, before) == []
    assert not [key for key in before if key.encode() in text]
    assert f'"{RESERVED_NAMESPACE}"'.encode() not in text
    line = {"namespace": RESERVED_NAMESPACE, "title": "mine"}
    entry = {"key": "{changes}key", "value": 1}
    sent = HEADER + "".join(f"{json.dumps(one)}\n" for one in (line, entry))
    (tmp_path / "in.ndjson").write_text(sent)
    assert invoke("import", "in.ndjson").exit_code != 0
    assert invoke("import", "-", input=sent).exit_code != 0
    assert asyncio.run(_kept()) == before
    copied = invoke("copy", "kv.sqlite", "copy.sqlite")
    assert copied.exit_code == 0, copied.output

    async def kept_in_copy() -> Reserved:
        storage = SqliteStorage("copy.sqlite")
        await storage.open()
        try:
            return await reserved_in(storage)
        finally:
            await storage.close()

    for key in asyncio.run(kept_in_copy()):
        assert key.startswith("{namespaces}")  # of the namespaces that were copied
