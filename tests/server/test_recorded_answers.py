"""Test that answers stay as they were recorded, byte for byte, however a request is answered.

A change of an answer is a change of the API. If it is meant, `RECORD_ANSWERS=1 make test
ARGS="-k recorded_answers"` records the answers again, and the commit shows what has changed.
"""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from caller import API_KEY, make_server
from served_socket import KEY, Served, one_answer, put, request, serving
from workertown_kv.server.bounded_protocol import BoundedProtocol
from workertown_kv.server.plain_protocol import PlainProtocol
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

_FILE: Final = Path(__file__).with_name("recorded_answers.json")
_REST: Final = "/client/v4/accounts/x/storage/kv/namespaces/default"

_PATHS: Final = (
    "/",
    "/v1/kv",
    "/v1/kv/",
    "/v1/kv/a",
    "/v1/kv/%C3%A9%2F",
    "/v1/kv/missing",
    "/v1/kv?key=a",
    "/v1/kv?prefix=a&limit=2",
    "/v1/kv?limit=x",
    "/v1/kv?unknown=1",
    "/v1/kv/a?namespace=missing",
    "/v1/kv/a?ttl=60",
    "//v1/kv/a",
    "/health/live",
    "/nothing",
    f"{_REST}/values/a",
    f"{_REST}/values/missing",
    f"{_REST}/keys",
    f"{_REST}/metadata/a",
)
_METHODS: Final = ("GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", "QUERY")
_FIELDS: Final = (
    "Accept: application/octet-stream",
    "Accept: text/html",
    "Authorization: Basic eDp5",
    "Authorization: Bearer wrong",
    "CF-KV-FLPROD-405: https://x/a",
    "Content-Encoding: gzip",
    "Content-Type: text/plain",
    "Cookie: a=b; c=d",
    "If-Match: *",
    'If-Match: "x", "y"',
    "If-Match: nonsense",
    "If-None-Match: *",
    'If-None-Match: W/"x"',
    "Origin: http://page.example",
    "Prefer: return=minimal",
    "Range: bytes=0-1",
    "Sec-Fetch-Site: cross-site",
    "Transfer-Encoding: gzip",
    "X-Auth-Email: a@b.example",
    "X-KV-Namespace: default",
    "X-KV-Namespace: missing",
    "X-KV-Namespace:",
    "X-Request-Id: mine",
)
_BODIES: Final = (
    b"",
    b"dark",
    b'"dark"',
    b"\xff",
    b"{}",
    b'{"value":1,"ttl":0}',
    b'{"value":1,"other":2}',
    b'{"value":{"a":[1.10,2]},"metadata":{"b":1}}',
    b'{"value":1,"expires_at":4102444800}',
)
_JSON: Final = "Content-Type: application/json"


def _requests() -> Iterator[tuple[str, str, bytes]]:
    """Yield a first line, a header field and a body of each request."""
    for path in _PATHS:
        for method in _METHODS:
            has_body = method in ("PUT", "POST", "PATCH")
            yield f"{method} {path}", _JSON, b'{"value":1}' if has_body else b""
    for field in _FIELDS:
        yield "GET /v1/kv/a", field, b""
        yield "PUT /v1/kv/a", field, b'{"value":1}'
        yield f"GET {_REST}/values/a", field, b""
    for body in _BODIES:
        yield "PUT /v1/kv/a", _JSON, body
        yield "PATCH /v1/kv/a", _JSON, body
        yield f"PUT {_REST}/values/a", _JSON, body


def _sent(line: str, field: str, body: bytes) -> bytes:
    fields = [field.encode()]
    if body:
        fields.append(b"Content-Length: %d" % len(body))
        if field.partition(":")[0].lower() != "content-type":
            fields.append(_JSON.encode())
    sent = request(line.encode(), *fields, body=body)
    return sent.replace(KEY, b"") if field.startswith("Authorization") else sent


async def _answer(served: Served, sent: bytes) -> list[str]:
    reader, writer = await served.connect()
    prepared = [put(b"a", b'{"value":[1,"x"]}'), request(b"DELETE /v1/kv/%C3%A9%2F")]
    for one in prepared:
        writer.write(one)
        await one_answer(reader)
    writer.write(sent)
    raw = await one_answer(reader, is_head=sent.startswith(b"HEAD"))
    writer.close()
    answer = raw.decode(errors="backslashreplace")
    answer = re.sub(r'(\r\netag: |"version":)"[^"]+"', r"\1V", answer)
    answer = re.sub(r"\r\n(date|x-request-id): [^\r]+", r"\r\n\1: …", answer)
    answer = re.sub(r'("request_id":")[^"]+', r"\1…", answer)
    if re.match(r"HTTP/1.1 [45]", answer):  # with a request id, which may be longer
        answer = re.sub(r"(\r\ncontent-length: )[1-9]\d*", r"\1…", answer)
    return answer.split("\r\n")


@pytest.mark.parametrize("kind", [PlainProtocol, BoundedProtocol])
async def test_answers_are_the_recorded_answers(kind: type[BoundedProtocol]) -> None:
    auth = {"failure_seconds": 0, "api_key": {"api_key": API_KEY}}
    found: dict[str, list[str]] = {}
    async with (
        make_server(MemoryStorage(), auth=auth) as server,
        serving(server, kind=kind) as served,
        asyncio.timeout(120),
    ):
        for line, field, body in _requests():
            name = " | ".join((line, field, body.decode(errors="backslashreplace")))
            found[name] = await _answer(served, _sent(line, field, body))
    if os.environ.get("RECORD_ANSWERS"):
        _FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    recorded = json.loads(_FILE.read_text())
    changed = {name: found[name] for name in found if found[name] != recorded.get(name)}
    assert not changed
    assert recorded.keys() == found.keys()
