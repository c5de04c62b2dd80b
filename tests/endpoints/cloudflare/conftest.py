"""Make a namespace of Cloudflare's REST API, in a server in process."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from caller import Caller, make_server
from workertown_kv.storage import Storage

NAMESPACES = "/client/v4/accounts/any/storage/kv/namespaces"


class Rest:
    """Calls the REST API; paths are relative to a namespace."""

    def __init__(self, call: Caller, id: str) -> None:
        self.call = call
        self.id = id
        self.below = f"{NAMESPACES}/{id}"

    async def __call__(self, method: str, path: str, **given: Any) -> httpx2.Response:
        return await self.call(method, self.below + path, **given)

    async def result(self, method: str, path: str, **given: Any) -> Any:
        answer = await self(method, path, **given)
        assert answer.status_code == 200, answer.text
        whole = answer.json()
        assert (whole["success"], whole["errors"], whole["messages"]) == (True, [], [])
        return whole["result"]

    async def refused(self, method: str, path: str, **given: Any) -> tuple[int, int, str]:
        """Return the status, code and message of an error."""
        return failure(await self(method, path, **given))


def failure(answer: httpx2.Response) -> tuple[int, int, str]:
    whole = answer.json()
    assert (whole["success"], whole["result"], whole["messages"]) == (False, None, [])
    [error] = whole["errors"]
    return answer.status_code, error["code"], error["message"]


@pytest.fixture
async def rest(call: Caller) -> Rest:
    made = await call("POST", NAMESPACES, json={"title": "one"})
    return Rest(call, made.json()["result"]["id"])


@pytest.fixture
async def relaxed(storage: Storage) -> AsyncIterator[Rest]:
    async with make_server(storage, cloudflare={"relaxed": True}) as server:
        yield Rest(Caller(server), "0" * 32)
