"""Test that D1Storage keeps the contract, over a server that Cloudflare's clients accept."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from servers.d1 import TOKEN, StandInD1
from storage.remote_sqlite_cases import (
    RemoteSqliteCases,
    RemoteSqliteConformance,
    RemoteSqliteGathering,
)
from workertown_kv.entry import Entry
from workertown_kv.errors import PreconditionFailed, StorageUnsupported, ValueTooLarge
from workertown_kv.operations import (
    Batch,
    Delete,
    Get,
    List,
    Precondition,
    Touch,
)
from workertown_kv.options import Secret
from workertown_kv.storage import Clock, Storage
from workertown_kv.storage.d1 import D1Storage
from workertown_kv.storage.remote_sqlite.d1 import LIMITS
from workertown_kv.testing import MovedClock
from workertown_kv.testing.conformance.operations import SPACE, put

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[StandInD1]:
    with StandInD1() as server:
        yield server


@pytest.fixture
async def storage(server: StandInD1, clock: MovedClock) -> AsyncIterator[D1Storage]:
    storage = D1Storage(server.url, token=Secret(TOKEN), clock=clock)
    await storage.open()
    yield storage
    await storage.close()


class OnD1:
    def serve(self, _: Path) -> StandInD1:
        return StandInD1()

    def at(self, url: str, clock: Clock) -> Storage:
        return D1Storage(url, token=Secret(TOKEN), clock=clock)


@pytest.mark.deep
class TestD1Storage(OnD1, RemoteSqliteConformance):
    lacks = D1Storage.lacks
    value_bytes = LIMITS.value_bytes


@pytest.mark.deep
class TestD1Gathering(OnD1, RemoteSqliteGathering):
    pass


class TestD1(RemoteSqliteCases):
    environment: ClassVar = {"CLOUDFLARE_API_TOKEN": TOKEN}
    mixed: ClassVar = [put("a"), Get(SPACE, "b"), Delete(SPACE, "c"), put("d")]


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


async def test_entries_come_back_as_they_were_after_another_program_wrote_them(
    server: StandInD1, storage: Storage
) -> None:
    server.db.execute("INSERT INTO entry VALUES ('default', 'a', 'v', 5e9, NULL, '[1]')")
    entry = await storage.get(Get(SPACE, "a"))
    assert entry == Entry(key="a", value=b"[1]", version="v", expires_at=5e9)
