"""Test CloudflareKVStorage on the REST API of Cloudflare's emulator, as far as that goes.

The emulator has no bulk writes and no metadata of a single key, and its bulk reads return no
metadata. So the Worker reads what the storage writes, and the storage lists what the Worker writes.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servers.cloudflare import storage_at
from servers.workerd import RunningEmulator, Worker, made
from workertown_kv.entry import KeyInfo
from workertown_kv.errors import StorageError
from workertown_kv.operations import Delete, Get, List
from workertown_kv.storage.cloudflare_kv.javascript import survives
from workertown_kv.storage.workers_kv import layout
from workertown_kv.testing import MovedClock
from workertown_kv.testing.conformance.operations import SPACE, put
from workertown_kv.testing.strategies import ODD_KEYS

pytestmark = [pytest.mark.anyio, pytest.mark.deep]

METADATA = (None, b'{"a":[1,2.5,"\xc3\xa9",null]}', b'{"a":1.0}', b'{"2":0,"1":0}', b'"text"')


@pytest.fixture(scope="module")
def emulator(require_program: Callable[[str, str], str], modules: Path) -> Iterator[Worker]:
    node = require_program("node", "nodejs")
    with RunningEmulator(node, modules, "explorer.mjs") as emulator:
        yield emulator


async def test_a_worker_reads_what_the_storage_writes(emulator: Worker, clock: MovedClock) -> None:
    storage = storage_at(emulator.url, clock)
    await storage.open()
    for number, key in enumerate(ODD_KEYS):
        text = number % 2 == 0
        operation = put(
            key,
            json.dumps(key).encode() if text else b"\xff\x00" + key.encode(),
            is_json=text,
            metadata=METADATA[number % len(METADATA)],
            expires_at=clock() + 0.5 + number if number % 3 else None,
        )
        version = await storage.set(operation)
        name = layout.name_of(key)
        found = emulator.call("getWithMetadata", name, {"type": "arrayBuffer"})
        value = b64decode(found["value"]["buffer"]["base64"])
        metadata = json.dumps(found["metadata"], ensure_ascii=False, separators=(",", ":"))
        assert layout.entry_of(key, value, metadata) == operation.entry(version)
    for key in ODD_KEYS[::2]:
        await storage.delete(Delete(SPACE, key))
    left = [info.key for info in (await storage.list(List(SPACE, "", 1000))).keys]
    assert left == sorted(ODD_KEYS[1::2], key=str.encode)
    for key in left:
        await storage.delete(Delete(SPACE, key))
    await storage.close()


async def test_the_storage_lists_what_a_worker_writes(emulator: Worker, clock: MovedClock) -> None:
    storage = storage_at(emulator.url, clock)
    await storage.open()
    versions = {f"k{i:02}": f"{i:025x}" for i in range(25)}
    for key, version in versions.items():
        operation = put(key, metadata=b'{"n":1}', expires_at=clock() + 9)
        # As the storage on the binding writes it.
        metadata = json.loads(layout.metadata_for(operation, version, survives))
        emulator.call("put", key, made("array", b"1"), {"metadata": metadata, "expirationTtl": 69})
    emulator.call("put", "of others", "text", {"metadata": [1, "é"]})
    for limit in (3, 10, 1000):
        listed: list[KeyInfo] = []
        cursor = None
        for _ in range(100):
            page = await storage.list(List(SPACE, "", limit, cursor))
            listed += page.keys
            cursor = page.cursor
            if cursor is None:
                break
        assert {info.key: info.version for info in listed} == {**versions, "of others": "unknown"}
        assert {info.metadata for info in listed} == {b'{"n":1}', '[1,"é"]'.encode()}
        assert {info.expires_at for info in listed} == {clock() + 9, None}
    await storage.close()


async def test_the_emulator_answers_as_the_storage_expects(
    emulator: Worker, clock: MovedClock
) -> None:
    storage = storage_at(emulator.url, clock)
    await storage.open()
    assert await storage.get(Get(SPACE, "missing")) is None
    await storage.delete(Delete(SPACE, "missing"))
    await storage.close()
    with pytest.raises(StorageError, match="has no namespace ffff"):
        await storage_at(emulator.url, clock, namespace="f" * 32).open()
