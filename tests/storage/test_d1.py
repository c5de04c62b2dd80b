"""Test that D1Storage keeps the contract, over a server that Cloudflare's clients accept."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from caller import API_KEY, Caller
from servers.d1 import TOKEN, StandInD1
from storage.gathering_cases import GatheringCases
from workertown_kv import kv
from workertown_kv.entry import Entry
from workertown_kv.errors import PreconditionFailed, StorageUnsupported, ValueTooLarge
from workertown_kv.operations import (
    MUST_EXIST,
    MUST_NOT_EXIST,
    Batch,
    Delete,
    DeletePrefix,
    Get,
    List,
    Operation,
    Precondition,
    Touch,
)
from workertown_kv.options import Secret
from workertown_kv.storage import Clock, Storage
from workertown_kv.storage.d1 import D1Storage
from workertown_kv.storage.remote_sqlite.d1 import LIMITS
from workertown_kv.testing import MovedClock, StorageConformance
from workertown_kv.testing.conformance.operations import SPACE, put
from workertown_kv.testing.strategies import ODD_KEYS

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(url: str, clock: Clock) -> AsyncIterator[D1Storage]:
    storage = D1Storage(url, token=Secret(TOKEN), clock=clock)
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


@pytest.fixture
def server() -> Iterator[StandInD1]:
    with StandInD1() as server:
        yield server


@pytest.fixture
async def storage(server: StandInD1, clock: MovedClock) -> AsyncIterator[D1Storage]:
    async with opened(server.url, clock) as storage:
        yield storage


@pytest.mark.deep
class TestD1Storage(StorageConformance):
    lacks = D1Storage.lacks
    value_bytes = LIMITS.value_bytes
    examples = 8

    @pytest.fixture(autouse=True)
    def at(self) -> Iterator[None]:
        self.servers: dict[Path, StandInD1] = {}
        with ExitStack() as self.stack:
            yield

    def make(self, clock: Clock, folder: Path) -> Storage:
        if folder not in self.servers:
            self.servers[folder] = self.stack.enter_context(StandInD1())
        url = f"{self.servers[folder].url}&sweep=0"
        return D1Storage(url, token=Secret(TOKEN), clock=clock)


@pytest.mark.deep
class TestD1Gathering(GatheringCases):
    @pytest.fixture(autouse=True)
    def _serving(self, server: StandInD1) -> None:
        self._server = server

    def statements(self) -> int:
        return len(self._server.requests)

    @asynccontextmanager
    async def storage(self, clock: MovedClock) -> AsyncIterator[Storage]:
        async with opened(self._server.url, clock) as storage:
            yield storage


async def test_each_operation_is_one_request(server: StandInD1, storage: Storage) -> None:
    mixed: list[Operation] = [put("a"), Get(SPACE, "b"), Delete(SPACE, "c"), put("d")]
    for act, requests in (
        (lambda: storage.set(put("a")), 1),
        (lambda: storage.set(put("a", precondition=MUST_EXIST)), 1),
        (lambda: storage.set(put("new", precondition=MUST_NOT_EXIST)), 1),
        (lambda: storage.get(Get(SPACE, "a")), 1),
        (lambda: storage.touch(Touch(namespace=SPACE, key="a", expires_at=None)), 1),
        (lambda: storage.delete(Delete(SPACE, "new", MUST_EXIST)), 1),
        (lambda: storage.batch(Batch(mixed)), 1),
        (lambda: storage.batch(Batch([Get(SPACE, str(i)) for i in range(500)])), 1),
        (lambda: storage.list(List(SPACE, "", 10)), 1),
        (lambda: storage.delete_prefix(DeletePrefix(SPACE, "a", 10)), 2),
        (storage.check, 1),
        (storage.probe, 1),
    ):
        before = len(server.requests)
        await act()
        assert len(server.requests) - before == requests


async def test_every_odd_key_has_any_value(storage: Storage, clock: MovedClock) -> None:
    values = [b"null", b" 1e999 ", b"", b"\0", b"\xff\xfe", "�\ufeff".encode(), bytes(range(256))]
    sets = [
        put(
            key,
            values[number % 7],
            is_json=number % 7 < 2,
            metadata=b'{"k":1.0}',
            expires_at=clock() + 1 + number / 7,
        )
        for number, key in enumerate(ODD_KEYS)
    ]
    versions = await asyncio.gather(*map(storage.set, sets))
    expected = [one.entry(version) for one, version in zip(sets, versions, strict=True)]
    gets = [Get(SPACE, key) for key in ODD_KEYS]
    assert await asyncio.gather(*map(storage.get, gets)) == expected
    assert await storage.batch(Batch(gets)) == expected
    listed = await storage.list(List(SPACE, "", 1000))
    assert [one.key for one in listed.keys] == sorted(ODD_KEYS, key=str.encode)


async def test_the_largest_bytes_are_more_than_one_parameter(storage: Storage) -> None:
    value = bytes(range(256)) * (LIMITS.value_bytes // 256)
    await storage.set(put("a", value, is_json=False))
    entry = await storage.get(Get(SPACE, "a"))
    assert entry is not None
    assert entry.value == value
    with pytest.raises(ValueTooLarge, match="D1 keeps 1,995,000"):
        await storage.set(put("a", b"1" * (LIMITS.value_bytes + 1)))


async def test_a_write_between_two_statements_changes_no_result(
    server: StandInD1, storage: Storage
) -> None:
    """Let another write come between the statement that writes and the read after it."""
    writes: list[str] = []

    def before(text: str) -> None:
        if writes and text.startswith("SELECT version"):
            server.db.execute(
                "INSERT INTO entry (namespace, key, version, value) "
                "VALUES ('default', 'a', ?, '1')",
                (writes.pop(),),
            )

    server.before = before
    writes.append("other")
    touch = Touch(namespace=SPACE, key="a", expires_at=None)
    assert await storage.touch(touch) == "other"
    await storage.delete(Delete(SPACE, "a"))
    writes.append("another")
    await storage.delete(Delete(SPACE, "a", Precondition(("other",), negated=True)))
    assert not writes
    assert await storage.get(Get(SPACE, "a")) is None
    writes.append("another")
    with pytest.raises(PreconditionFailed):
        await storage.delete(Delete(SPACE, "a", Precondition(("another",), negated=True)))
    with pytest.raises(PreconditionFailed):
        await storage.delete(Delete(SPACE, "a", Precondition(("other",))))


async def test_an_atomic_batch_is_refused_and_changes_nothing(storage: Storage) -> None:
    with pytest.raises(StorageUnsupported, match="one transaction"):
        await storage.batch(Batch([put("a"), put("b")], atomic=True))
    assert not (await storage.list(List(SPACE, "", 10))).keys


async def test_a_server_over_it_gives_clients_values(server: StandInD1) -> None:
    environment = {"KV_DB": server.url, "CLOUDFLARE_API_TOKEN": TOKEN}
    async with kv(get_env=lambda: environment, auth={"api_key": {"api_key": API_KEY}}) as store:
        call = Caller(store)
        etag = (await call.put("theme", "dark", metadata={"by": "ada"}, ttl=5)).headers["etag"]
        got = await call("GET", "/v1/kv/theme")
        assert (got.json()["data"], got.headers["etag"]) == ("dark", etag)
        for code in (200, 412):
            headers = {"If-Match": etag}
            answer = await call("PUT", "/v1/kv/theme", json={"value": 1}, headers=headers)
            assert answer.status_code == code
        patched = [await call("PATCH", "/v1/kv/n", json={"increment": 2}) for _ in range(3)]
        assert [one.json()["data"] for one in patched] == [2, 4, 6]
        atomic = {"operations": [{"op": "get", "key": "n"}], "atomic": True}
        assert (await call("POST", "/v1/kv", json=atomic)).status_code == 501
        assert (await call("GET", "/v1/changes")).status_code == 501
        info = (await call("GET", "/admin/info")).text
        assert "D1Storage" in info
        assert TOKEN not in info


async def test_entries_come_back_as_they_were_after_another_program_wrote_them(
    server: StandInD1, storage: Storage
) -> None:
    server.db.execute("INSERT INTO entry VALUES ('default', 'a', 'v', 5e9, NULL, '[1]')")
    entry = await storage.get(Get(SPACE, "a"))
    assert entry == Entry(key="a", value=b"[1]", version="v", expires_at=5e9)
