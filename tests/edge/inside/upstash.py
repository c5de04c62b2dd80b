"""Test the runtime `edge` and its storage, where only fetch leads outside."""

import os
from hashlib import sha1
from pathlib import Path

import pytest

from workertown_kv import kv
from workertown_kv.storage import Clock, Storage
from workertown_kv.storage.upstash import UpstashStorage
from workertown_kv.testing import StorageConformance

KEY = {"Authorization": "Bearer k"}


class TestUpstashStorage(StorageConformance):
    value_bytes = 1_000_000
    examples = 2

    def make(self, clock: Clock, folder: Path) -> Storage:
        prefix = sha1(bytes(folder)).hexdigest()
        return UpstashStorage(
            f"{os.environ['KV_DB']}?sweep=0&timeout=60&prefix={prefix}", clock=clock
        )


@pytest.mark.anyio
async def test_a_server_answers() -> None:
    server = kv(runtime="edge", auth={"api_key": {"api_key": "k"}})
    async with server:
        for value in ([1, "é"], None):
            put = await server.request("PUT", "/v1/kv/a", headers=KEY, json={"value": value})
            assert put.status_code == 200, put.text
            got = await server.request("GET", "/v1/kv/a", headers=KEY)
            assert got.json()["data"] == value
        page = await server.request("GET", "/v1/kv", headers=KEY)
        assert [one["key"] for one in page.json()["data"]["keys"]] == ["a"]
