"""Test that compressed bodies are refused wherever a body is read."""

import gzip
import json
from typing import Any

import pytest

from caller import Caller, make_server
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

NAMED = {"key": "x", "account_id": "a", "namespace_id": "0" * 32, "key_name": "x", "namespace": "t"}
SPACES = "/client/v4/accounts/{account_id}/storage/kv/namespaces"
SPACE = SPACES + "/{namespace_id}"

BODIES: dict[tuple[str, str], Any] = {
    ("PUT", "/v1/kv/{key}"): {"value": 2},
    ("PUT", "/v1/kv?key={key}"): {"value": 2},
    ("PATCH", "/v1/kv/{key}"): {"increment": 2},
    ("PATCH", "/v1/kv?key={key}"): {"increment": 2},
    ("POST", "/v1/kv"): {"operations": []},
    ("POST", "/v1/changes/tickets"): {},
    ("POST", "/admin/namespaces"): {"title": "t"},
    ("POST", "/admin/api-keys"): {"name": "n"},
    ("PUT", "/admin/namespaces/{namespace}"): {"title": "u"},
    ("POST", SPACES): {"title": "v"},
    ("PUT", SPACE): {"title": "w"},
    ("PUT", SPACE + "/values/{key_name}"): [2],
    ("PUT", SPACE + "/bulk"): [{"key": "x", "value": "2"}],
    ("DELETE", SPACE + "/bulk"): ["x"],
    ("POST", SPACE + "/bulk/delete"): ["x"],
    ("POST", SPACE + "/bulk/get"): {"keys": ["x"]},
    ("PUT", "/workerd/{key}"): [2],
    ("POST", "/workerd/bulk/get"): {"keys": ["x"]},
}


@pytest.mark.parametrize("request_line", BODIES, ids=" ".join)
async def test_a_compressed_body_is_415_and_changes_nothing(request_line: tuple[str, str]) -> None:
    method, path = request_line
    call = Caller(make_server(MemoryStorage({"x": 1})))
    body = gzip.compress(json.dumps(BODIES[request_line]).encode())
    before = await call.data("GET", "/admin/namespaces")
    for encoding in ("gzip", "br", "zstd", "GZIP", "identity, gzip"):
        answer = await call(
            method,
            path.format(**NAMED),
            content=body,
            headers={"Content-Type": "application/json", "Content-Encoding": encoding},
        )
        assert answer.status_code == 415
        assert f"without Content-Encoding; got {encoding}" in answer.text
    assert await call.data("GET", "/v1/kv/x") == 1
    assert await call.data("GET", "/admin/namespaces") == before


async def test_identity_is_no_encoding() -> None:
    call = Caller(make_server(MemoryStorage({"x": 1})))
    for method, path in (("PUT", "/v1/kv/x"), ("PUT", "/workerd/y")):
        for encoding in ("identity", " Identity "):
            headers = {"Content-Encoding": encoding}
            answer = await call(method, path, json={"value": 2}, headers=headers)
            assert answer.status_code == 200


async def test_a_path_that_takes_a_body_is_tried_here() -> None:
    document = (await make_server(MemoryStorage()).request("GET", "/open-api.json")).json()
    described = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
    }
    # The server reads no body of a migration.
    described.remove(("POST", "/admin/migrate"))
    # The server decompresses an import.
    described.remove(("POST", "/admin/import"))
    assert described <= {(method, path.partition("?")[0]) for method, path in BODIES}
