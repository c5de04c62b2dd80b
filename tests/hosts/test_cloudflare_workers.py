"""Test the modules for a Worker; `tests/edge` runs a Worker."""

from collections.abc import MutableMapping
from typing import Any

import pytest

from workertown_kv import kv
from workertown_kv.hosts.cloudflare_workers import worker_application


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"cf-connecting-ip", b"203.0.113.7")], 200),
        ([(b"cf-connecting-ip", b"198.51.100.7")], 403),
        ([(b"x-forwarded-for", b"203.0.113.7")], 403),
        ([], 403),
    ],
)
async def test_the_address_of_a_client_is_the_one_that_cloudflare_tells(
    headers: list[tuple[bytes, bytes]], status: int
) -> None:
    server = kv(runtime="testing", access={"ip": ["203.0.113.0/24"]}, get_env=dict)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/health",
        "raw_path": b"/health",
        "query_string": b"",
        "headers": headers,
    }
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await worker_application(server)(scope, receive, send)
    assert sent[0]["status"] == status
    await server.close()
