"""Test HttpStorage in front of servers of the engines that most operators have."""

import asyncio
from collections.abc import Callable, Iterator
from hashlib import sha1
from pathlib import Path
from typing import ClassVar

import pytest

from caller import API_KEY
from servers.behind import ServersBehind
from servers.postgres import RunningPostgres, postgres_programs
from servers.redis import RunningRedis
from storage.in_front import InFrontConformance
from storage.sql_case import table_of
from workertown_kv.entry import Entry
from workertown_kv.errors import Conflict
from workertown_kv.namespaces import namespaces_of
from workertown_kv.operations import (
    MUST_NOT_EXIST,
    Batch,
    Delete,
    DeletePrefix,
    Event,
    Get,
    List,
    Operation,
    ReadChanges,
    Set,
    Touch,
    Updated,
)
from workertown_kv.patches.increment import Increment
from workertown_kv.storage import Clock, Storage
from workertown_kv.storage.http import HttpStorage
from workertown_kv.storage.postgres import PostgresStorage
from workertown_kv.storage.redis import RedisStorage
from workertown_kv.storage.sqlite import SqliteStorage
from workertown_kv.testing import MovedClock
from workertown_kv.updates import Target, increment

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server(require_program: Callable[[str, str], str]) -> Iterator[RunningPostgres]:
    with RunningPostgres(postgres_programs(require_program)) as running:
        yield running


@pytest.mark.deep
class TestInFrontOfSqlite(InFrontConformance):
    examples = 10

    def behind(self, clock: Clock, folder: Path) -> Storage:
        return SqliteStorage(folder / "kv.sqlite", clock=clock)


@pytest.mark.deep
class TestInFrontOfPostgres(InFrontConformance):
    examples = 5
    url: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _running(self, server: RunningPostgres) -> None:
        type(self).url = server.url

    def behind(self, clock: Clock, folder: Path) -> Storage:
        return PostgresStorage(f"{self.url}?table={table_of(folder)}", clock=clock)


@pytest.mark.deep
class TestInFrontOfRedis(InFrontConformance):
    examples = 5
    url: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _running(self, running: RunningRedis) -> None:
        type(self).url = running.url

    def behind(self, clock: Clock, folder: Path) -> Storage:
        return RedisStorage(f"{self.url}?prefix={sha1(bytes(folder)).hexdigest()}", clock=clock)


@pytest.fixture(params=[pytest.param("postgres", marks=pytest.mark.deep), "redis"])
def behind(
    request: pytest.FixtureRequest, clock: MovedClock, tmp_path: Path
) -> Iterator[HttpStorage]:
    storage: Storage
    if request.param == "postgres":
        url = request.getfixturevalue("server").url
        storage = PostgresStorage(f"{url}?table={table_of(tmp_path)}", clock=clock)
    else:
        storage = RedisStorage(request.getfixturevalue("running").url, clock=clock)
    with ServersBehind() as servers:
        yield HttpStorage(servers.serve(storage), token=API_KEY, clock=clock)


async def test_a_server_in_front_does_what_the_engine_does(
    behind: HttpStorage, clock: MovedClock
) -> None:
    await behind.open()
    begin = (await behind.changes(ReadChanges(None))).cursor
    space = (await namespaces_of(behind).create("a space")).name
    given = Set(
        namespace=space,
        key="a/\x01é",
        value=b"\xff",
        is_json=False,
        metadata=b'{"a":1}',
        expires_at=clock() + 9.5,
    )
    version = await behind.set(given)
    assert await behind.get(Get(space, given.key)) == given.entry(version)
    new = clock() + 20.25
    touched = await behind.touch(Touch(namespace=space, key=given.key, expires_at=new))
    assert touched == version
    counts = [behind.update(increment(Target(space, "a/n"), Increment(by=1))) for _ in range(8)]
    updated = [one.after for one in await asyncio.gather(*counts)]
    assert sorted(int(one.value) for one in updated if one) == list(range(1, 9))
    both: list[Operation] = [
        Get(space, "a/n", MUST_NOT_EXIST),
        Delete(space, given.key),
    ]
    with pytest.raises(Conflict) as caught:
        await behind.batch(Batch(both, atomic=True))
    assert caught.value.failed == (0,)
    counting: list[Operation] = [increment(Target(space, "a/n"), Increment(by=1)), *both[1:]]
    first, _ = await behind.batch(Batch(counting, atomic=True))
    assert isinstance(first, Updated)
    assert isinstance(first.after, Entry)
    assert first.after.value == b"9"
    page = await behind.list_entries(List(space, "a/", 10), 1000)
    assert list(page.keys) == [first.after]
    assert (await behind.delete_prefix(DeletePrefix(space, "a/", 10))).deleted == 1
    changes = await behind.changes(ReadChanges(begin, wait=30))
    events = [one.event for one in changes.changes if one.namespace == space]
    assert events[:2] == [Event.SET, Event.TOUCH]
    await behind.close()
