"""Test that LibsqlStorage keeps the contract, over a server that official clients accept."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import apsw
import pytest

from caller import API_KEY, Caller
from servers.libsql import TOKEN, StandInLibsql
from storage.gathering_cases import GatheringCases
from workertown_kv import kv
from workertown_kv.entry import Entry
from workertown_kv.errors import Conflict, ValueTooLarge
from workertown_kv.operations import (
    MUST_EXIST,
    MUST_NOT_EXIST,
    Batch,
    Delete,
    DeletePrefix,
    Get,
    List,
    Operation,
    Touch,
)
from workertown_kv.options import Secret
from workertown_kv.storage import SWEEP_MARGIN_SECONDS, Clock, Storage
from workertown_kv.storage.libsql import LibsqlStorage
from workertown_kv.storage.libsql.storage import LIMITS
from workertown_kv.testing import MovedClock, StorageConformance
from workertown_kv.testing.conformance.operations import SPACE, put
from workertown_kv.testing.strategies import ODD_KEYS

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(url: str, clock: Clock) -> AsyncIterator[LibsqlStorage]:
    storage = LibsqlStorage(url, token=Secret(TOKEN), clock=clock)
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandInLibsql]:
    with StandInLibsql(tmp_path / "libsql.sqlite") as server:
        yield server


@pytest.fixture
async def storage(server: StandInLibsql, clock: MovedClock) -> AsyncIterator[LibsqlStorage]:
    async with opened(server.url, clock) as storage:
        yield storage


@pytest.mark.deep
class TestLibsqlStorage(StorageConformance):
    lacks = LibsqlStorage.lacks
    value_bytes = LIMITS.value_bytes
    examples = 8

    @pytest.fixture(autouse=True)
    def at(self) -> Iterator[None]:
        self.servers: dict[Path, StandInLibsql] = {}
        with ExitStack() as self.stack:
            yield

    def make(self, clock: Clock, folder: Path) -> Storage:
        if folder not in self.servers:
            server = StandInLibsql(folder / "libsql.sqlite")
            self.servers[folder] = self.stack.enter_context(server)
        url = f"{self.servers[folder].url}&sweep=0"
        return LibsqlStorage(url, token=Secret(TOKEN), clock=clock)


@pytest.mark.deep
class TestLibsqlGathering(GatheringCases):
    @pytest.fixture(autouse=True)
    def _serving(self, server: StandInLibsql) -> None:
        self._server = server

    def statements(self) -> int:
        return len(self._server.requests)

    @asynccontextmanager
    async def storage(self, clock: MovedClock) -> AsyncIterator[Storage]:
        async with opened(self._server.url, clock) as storage:
            yield storage


# Costs


async def test_each_operation_is_one_request(server: StandInLibsql, storage: Storage) -> None:
    mixed: list[Operation] = [put("a"), Get(SPACE, "a"), Delete(SPACE, "b"), put("c")]
    for act, requests in (
        (lambda: storage.set(put("a")), 1),
        (lambda: storage.set(put("a", precondition=MUST_EXIST)), 1),
        (lambda: storage.set(put("new", precondition=MUST_NOT_EXIST)), 1),
        (lambda: storage.get(Get(SPACE, "a")), 1),
        (lambda: storage.touch(Touch(namespace=SPACE, key="a", expires_at=None)), 1),
        (lambda: storage.delete(Delete(SPACE, "new", MUST_EXIST)), 1),
        (lambda: storage.batch(Batch(mixed)), 1),
        (lambda: storage.batch(Batch([Get(SPACE, str(i)) for i in range(500)])), 1),
        (lambda: storage.batch(Batch([put("a"), put("c")], atomic=True)), 1),
        (lambda: storage.list(List(SPACE, "", 10)), 1),
        (lambda: storage.delete_prefix(DeletePrefix(SPACE, "a", 10)), 2),
        (storage.check, 1),
        (storage.probe, 1),
    ):
        before = len(server.requests)
        await act()
        assert len(server.requests) - before == requests


async def test_a_stream_is_used_again_so_that_a_server_has_few(
    server: StandInLibsql, storage: Storage
) -> None:
    for number in range(50):
        await storage.set(put(str(number)))
    assert server.hrana.opened == 1
    gets = [Get(SPACE, str(number)) for number in range(50)]
    assert None not in await asyncio.gather(*map(storage.get, gets))
    assert server.hrana.opened <= 4


async def test_a_stream_that_the_server_has_ended_loses_no_operation(
    server: StandInLibsql, storage: Storage
) -> None:
    for number in range(3):
        await storage.set(put("a", b"%d" % number))
        server.hrana.end_streams()
        entry = await storage.get(Get(SPACE, "a"))
        assert entry is not None
        assert entry.value == b"%d" % number
        server.hrana.end_streams()


async def test_a_server_does_not_pay_for_looking_for_expired_entries_all_the_time(
    server: StandInLibsql, storage: Storage, clock: MovedClock
) -> None:
    await storage.set(put("a", expires_at=clock() + 1))
    clock.move(1 + SWEEP_MARGIN_SECONDS)
    asked = len(server.requests)
    assert [await storage.sweep(10) for _ in range(3)] == [1, 0, 0]
    assert len(server.requests) == asked + 2
    clock.move(59)
    await storage.sweep(10)
    assert len(server.requests) == asked + 2
    clock.move(1)
    await storage.sweep(10)
    assert len(server.requests) == asked + 3


# Entries


async def test_every_odd_key_has_any_value(server: StandInLibsql, storage: Storage) -> None:
    values = [b"null", b" 1e999 ", b"", b"\0", b"\xff\xfe", "�\ufeff".encode(), bytes(range(256))]
    sets = [
        put(key, values[number % 7], is_json=number % 7 < 2, metadata=b'{"k":1.0}')
        for number, key in enumerate(ODD_KEYS)
    ]
    versions = await asyncio.gather(*map(storage.set, sets))
    expected = [one.entry(version) for one, version in zip(sets, versions, strict=True)]
    gets = [Get(SPACE, key) for key in ODD_KEYS]
    assert await asyncio.gather(*map(storage.get, gets)) == expected
    assert await storage.batch(Batch(gets)) == expected
    listed = await storage.list(List(SPACE, "", 1000))
    assert [one.key for one in listed.keys] == sorted(ODD_KEYS, key=str.encode)


async def test_the_rows_are_those_of_an_sqlite_file(
    server: StandInLibsql, storage: Storage, clock: MovedClock, tmp_path: Path
) -> None:
    version = await storage.set(put("text", b'{"a": 1}', metadata=b'{"m":1}'))
    await storage.set(put("bytes", b"\xff", is_json=False, expires_at=clock() + 1.5))
    with apsw.Connection(str(tmp_path / "libsql.sqlite")) as db:
        found = db.execute(
            "SELECT key, value, metadata, expires_at FROM entry ORDER BY key"
        ).fetchall()
        assert found == [
            ("bytes", b"\xff", None, clock() + 1.5),
            ("text", '{"a": 1}', '{"m":1}', None),
        ]
        db.execute("UPDATE entry SET value = '[2]' WHERE key = 'text'")
    entry = await storage.get(Get(SPACE, "text"))
    assert entry == Entry(key="text", value=b"[2]", version=version, metadata=b'{"m":1}')


async def test_of_atomic_batches_that_disagree_only_one_happens(storage: Storage) -> None:
    creations = [
        Batch([put("a", b"%d" % i, precondition=MUST_NOT_EXIST), put(f"b{i}")], atomic=True)
        for i in range(8)
    ]
    outcomes = await asyncio.gather(*map(storage.batch, creations), return_exceptions=True)
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 7
    (winner,) = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, list)]
    listed = await storage.list(List(SPACE, "b", 10))
    assert [one.key for one in listed.keys] == [f"b{winner}"]


# Sizes


@pytest.mark.deep
async def test_large_values_come_alone_and_beside_others(storage: Storage) -> None:
    large = b'"' + b"x" * (LIMITS.value_bytes // 2) + b'"'
    sets = [put(key, large) for key in "abc"]
    operations: list[Operation] = [Get(SPACE, "a"), put("small"), Get(SPACE, "b"), put("b")]
    assert await storage.batch(Batch(sets))
    for batch in (Batch([Get(SPACE, key) for key in "abc"]), Batch(operations)):
        results = await storage.batch(batch)
        entries = [one for one in results if isinstance(one, Entry)]
        assert [len(one.value) for one in entries] == [len(large)] * len(entries)
        assert len(entries) == sum(isinstance(one, Get) for one in batch.operations)
    small = await storage.batch(Batch([Get(SPACE, "a"), put("d")], read_bytes=1000))
    assert isinstance(small[0], ValueTooLarge)
    assert isinstance(small[1], str)


async def test_a_value_that_no_answer_can_have_is_refused(
    server: StandInLibsql, storage: Storage
) -> None:
    asked = len(server.requests)
    too_large = put("a", b"1" * (LIMITS.value_bytes + 1))
    acts: list[Callable[[], Awaitable[object]]] = [
        lambda: storage.set(too_large),
        lambda: storage.batch(Batch([too_large], atomic=True)),
    ]
    for act in acts:
        with pytest.raises(ValueTooLarge, match="libSQL keeps 9,900,000"):
            await act()
    failed, written = await storage.batch(Batch([too_large, put("b")]))
    assert isinstance(failed, ValueTooLarge)
    assert isinstance(written, str)
    assert len(server.requests) == asked + 1


# A server


async def test_a_server_over_it_gives_clients_values(server: StandInLibsql) -> None:
    environment = {"KV_DB": server.url, "KV_DB_TOKEN": TOKEN}
    async with kv(get_env=lambda: environment, auth={"api_key": {"api_key": API_KEY}}) as store:
        call = Caller(store)
        etag = (await call.put("theme", "dark", metadata={"by": "ada"}, ttl=5)).headers["etag"]
        got = await call("GET", "/v1/kv/theme")
        assert (got.json()["data"], got.headers["etag"]) == ("dark", etag)
        for code in (200, 412):
            answer = await call(
                "PUT", "/v1/kv/theme", json={"value": 1}, headers={"If-Match": etag}
            )
            assert answer.status_code == code
        count = {"increment": 2}
        patched = [await call("PATCH", "/v1/kv/count", json=count) for _ in range(3)]
        assert [one.json()["data"] for one in patched] == [2, 4, 6]
        assert (await call("GET", "/v1/changes")).status_code == 501
        info = (await call("GET", "/admin/info")).text
        assert "LibsqlStorage" in info
        assert TOKEN not in info
