"""Test that the work of reading long header fields and queries has a bound."""

import asyncio
from typing import Any

import pytest

from caller import Caller, make_server
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

MOST = 8192
NAMESPACE = "/client/v4/accounts/a/storage/kv/namespaces/00000000000000000000000000000000"
FIELDS = {
    "if-match": ("PUT", "/v1/kv/a", '"a",'),
    "if-none-match": ("GET", "/v1/kv/a", '"a",'),
    "accept": ("GET", "/v1/kv/a", "application/octet-stream,"),
    "prefer": ("PUT", "/v1/kv/a", "wait=1,"),
    "content-type": ("PUT", f"{NAMESPACE}/values/a", ";"),
    "forwarded": ("GET", "/v1/kv/a", "for=192.0.2.1,"),
    "x-forwarded-for": ("GET", "/v1/kv/a", "192.0.2.1,"),
}


@pytest.mark.parametrize("name", FIELDS)
async def test_a_header_field_is_taken_apart_up_to_a_bound(name: str) -> None:
    method, url, piece = FIELDS[name]
    access = {"trusted_proxies": ("127.0.0.1",), "ip": ("127.0.0.1", "192.0.2.1")}
    call = Caller(make_server(MemoryStorage({"a": 1}), access=access))
    field = piece * (MOST // len(piece))
    asked: dict[str, Any] = {"json": {"value": 1}} if method == "PUT" else {}
    answer = await call(method, url, headers={name: field}, **asked)
    assert "8,192" not in answer.text
    answer = await call(method, url, headers={name: field + piece * 2}, **asked)
    assert answer.status_code == 400
    assert f"{name}" in answer.text
    assert "Expected at most 8,192 bytes" in answer.text


async def test_a_query_has_a_bound_too() -> None:
    call = Caller(make_server(MemoryStorage({"a": 1})))
    few, many = "&".join(["a=b"] * 100), "&".join(["a=b"] * 101)
    assert (await call("GET", f"{NAMESPACE}/keys?{few}")).status_code == 200
    answer = await call("GET", f"{NAMESPACE}/keys?{many}")
    assert answer.status_code == 400
    assert "more than 100 parameters" in answer.text


@pytest.mark.parametrize("query", ["x" * 10_000, "%ff" * 3000])
async def test_what_is_wrong_is_not_repeated_at_length(query: str) -> None:
    call = Caller(make_server(MemoryStorage()))
    answer = await call("GET", f"/v1/kv?{query}")
    assert answer.status_code == 400
    assert len(answer.text) < 1000
    headers = {"Content-Type": "x" * 10_000}
    answer = await call("POST", "/v1/kv", content=b"1", headers=headers)
    assert answer.status_code == 415
    assert len(answer.text) < 1000


async def test_a_long_path_is_cut() -> None:
    told: list[tuple[str, str, int, float]] = []
    server = make_server(MemoryStorage(), logger=lambda *line: told.append(line))
    call = Caller(server)
    await asyncio.gather(call("GET", "/" + "x" * 1023), call("GET", "/" + "é" * 5000))
    assert sorted(path for _, path, _, _ in told) == [
        "/" + ("%C3%A9" * 171)[:1023] + "...",
        "/" + "x" * 1023,
    ]
