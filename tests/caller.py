"""Make a server in process, and call it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx2
import pytest

from workertown_kv import Runtime, Server, Storage, kv

API_KEY = "test-key"

on_one_storage = pytest.mark.parametrize("storage", ["memory"], indirect=True)
"""Marks a test of what is refused before a storage does anything: one storage is enough."""


class Caller:
    """Calls a server in process, by default with its API key."""

    def __init__(self, server: Server, api_key: str = API_KEY) -> None:
        self.server = server
        self._api_key = api_key

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str | bytes] | None = None,
        **given: Any,
    ) -> httpx2.Response:
        credentials = {"Authorization": f"Bearer {self._api_key}", **(headers or {})}
        return await self.server.request(method, url, headers=credentials, **given)

    async def put(self, key: str, value: object, **fields: object) -> httpx2.Response:
        answer = await self("PUT", f"/v1/kv/{key}", json={"value": value, **fields})
        assert answer.status_code == 200, answer.text
        return answer

    async def data(self, method: str, url: str, **given: Any) -> Any:
        answer = await self(method, url, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


async def until_status(ask: Callable[[], Awaitable[httpx2.Response]], status: int) -> None:
    """Ask again and again, since a request for the health waits only a moment for a check.

    Raises `TimeoutError` after a minute.
    """
    async with asyncio.timeout(60):
        while (await ask()).status_code != status:  # noqa: ASYNC110  (no event tells of a check)
            await asyncio.sleep(0.01)


def make_server(storage: Storage, **options: Any) -> Server:
    """Make a server with an API key and without an environment, which refuses without delay."""
    auth: Any = {"failure_seconds": 0, **options.pop("auth", {"api_key": {"api_key": API_KEY}})}
    options.setdefault("get_env", dict)
    return kv(runtime=Runtime(storage), auth=auth, **options)
