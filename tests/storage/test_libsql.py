"""Test that LibsqlStorage keeps the contract, over a server that official clients accept."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import ClassVar

import apsw
import pytest

from servers.libsql import TOKEN, StandInLibsql
from storage.remote_sqlite_cases import (
    RemoteSqliteCases,
    RemoteSqliteConformance,
    RemoteSqliteGathering,
)
from workertown_kv.entry import Entry
from workertown_kv.errors import Conflict, ValueTooLarge
from workertown_kv.operations import (
    MUST_NOT_EXIST,
    Batch,
    Delete,
    Get,
    List,
    Operation,
)
from workertown_kv.options import Secret
from workertown_kv.storage import SWEEP_MARGIN_SECONDS, Clock, Storage
from workertown_kv.storage.libsql import LibsqlStorage
from workertown_kv.storage.libsql.storage import LIMITS
from workertown_kv.testing import MovedClock
from workertown_kv.testing.conformance.operations import SPACE, put

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandInLibsql]:
    with StandInLibsql(tmp_path / "libsql.sqlite") as server:
        yield server


@pytest.fixture
async def storage(server: StandInLibsql, clock: MovedClock) -> AsyncIterator[LibsqlStorage]:
    storage = LibsqlStorage(server.url, token=Secret(TOKEN), clock=clock)
    await storage.open()
    yield storage
    await storage.close()


class OnLibsql:
    def serve(self, folder: Path) -> StandInLibsql:
        return StandInLibsql(folder / "libsql.sqlite")

    def at(self, url: str, clock: Clock) -> Storage:
        return LibsqlStorage(url, token=Secret(TOKEN), clock=clock)


@pytest.mark.deep
class TestLibsqlStorage(OnLibsql, RemoteSqliteConformance):
    lacks = LibsqlStorage.lacks
    value_bytes = LIMITS.value_bytes


@pytest.mark.deep
class TestLibsqlGathering(OnLibsql, RemoteSqliteGathering):
    pass


class TestLibsql(RemoteSqliteCases):
    environment: ClassVar = {"KV_DB_TOKEN": TOKEN}
    mixed: ClassVar = [put("a"), Get(SPACE, "a"), Delete(SPACE, "b"), put("c")]


async def test_a_clock_that_is_set_back_does_not_stop_the_sweeps(
    storage: LibsqlStorage, clock: MovedClock
) -> None:
    assert await storage.sweep(10) == 0
    clock.move(-3600)
    await storage.set(put("a", expires_at=clock() + 1))
    clock.move(1 + SWEEP_MARGIN_SECONDS)
    assert await storage.sweep(10) == 1


# Costs


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
