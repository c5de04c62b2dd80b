"""Test how storages on database servers gather operations."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from storage.gathering_cases import GatheringCases, warm_up
from storage.sql_case import SqlCase, put
from storage.sql_conformance import SharedSql
from workertown_kv.errors import KvError, StorageError, StorageUnavailable
from workertown_kv.operations import MUST_EXIST, Get, List, Precondition
from workertown_kv.storage import Storage
from workertown_kv.storage.sql.session import Session, Undone
from workertown_kv.storage.sql.storage import SqlStorage


class _RolledBack(KvError):
    """Ends a transaction."""


class SqlGathering(SharedSql, SqlCase, GatheringCases):
    session_type: type[Session]
    """The class at whose methods the statements are counted."""

    @pytest.fixture(autouse=True)
    def _count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._statements = 0
        self._undone = 0
        for name in ("fetch", "execute", "run"):
            monkeypatch.setattr(self.session_type, name, self._counted(name))

    def _counted(self, name: str) -> Any:
        method = getattr(self.session_type, name)

        async def counted(session: Session, statement: Any) -> Any:
            # The clock of the database is only moved in tests.
            self._statements += "moved" not in str(statement)
            try:
                return await method(session, statement)
            except Undone:
                self._undone += 1
                raise

        return counted

    def statements(self) -> int:
        return self._statements

    @pytest.fixture
    async def gathered(self, shared: SqlStorage) -> Storage:
        await warm_up(shared)
        return shared

    async def test_a_value_that_the_engine_refuses_fails_alone(self, gathered: Storage) -> None:
        sets = [put(str(number), b"\xff" if number == 9 else b"1") for number in range(20)]
        outcomes = await asyncio.gather(*map(gathered.set, sets), return_exceptions=True)
        assert [type(one) for one in outcomes].count(str) == 19
        assert type(outcomes[9]) is StorageError

    @pytest.mark.parametrize("condition", [None, MUST_EXIST])
    @pytest.mark.deep
    async def test_a_group_locks_its_rows_in_the_order_of_their_keys(
        self, condition: Precondition | None
    ) -> None:
        storage = await self.opened(timeout=30)
        await asyncio.gather(*(storage.set(put(key)) for key in "abcdef"))
        async with storage._database.opened().session() as session:
            with suppress(_RolledBack):
                async with session.transaction():
                    await session.execute(storage._statements.claim([("default", "a")], "x"))
                    both = [asyncio.ensure_future(storage.set(put(key))) for key in "ef"]
                    group = [
                        asyncio.ensure_future(storage.set(put(key, b"2", condition)))
                        for key in "dcba"
                    ]
                    await asyncio.gather(*both)
                    while await self.waiting(storage) < 1:
                        assert not any(one.done() for one in group)
                    # The group has no row yet. With one, each would wait for the other now.
                    await session.execute(storage._statements.claim([("default", "d")], "x"))
                    raise _RolledBack("on purpose")
        await asyncio.gather(*group)
        assert self._undone == 0

    async def test_a_connection_that_breaks_under_a_group_is_503_for_all_of_it(self) -> None:
        storage = await self.opened(timeout=30)
        await storage.set(put("a"))
        lists = [storage.list(List("default", "", 1)) for _ in range(4)]
        await asyncio.gather(*lists)  # now there are connections
        async with storage._database.opened().session() as session:
            await session.run(session.begin)
            await session.execute(storage._statements.claim([("default", "a")], "x"))
            # The first two are sent at once. The second is answered, and the others follow.
            alone = asyncio.ensure_future(storage.set(put("a", b"2")))
            second = asyncio.ensure_future(storage.set(put("z", b"2")))
            group = [asyncio.ensure_future(storage.set(put(key, b"2"))) for key in "abcdefgh"]
            await second
            while await self.waiting(storage) < 2:
                assert not any(one.done() for one in (alone, *group))
            self.server.kill()
            for outcome in await asyncio.gather(alone, *group, return_exceptions=True):
                assert isinstance(outcome, StorageUnavailable)
                assert "may or may not" in outcome.message
            session.terminate()
        self.server.start()
        entry = await storage.get(Get("default", "a"))
        assert entry is not None
        await asyncio.gather(*(storage.set(put(key, b"3")) for key in "abcdefgh"))
        assert await storage.get(Get("default", "h")) is not None

    async def waiting(self, storage: SqlStorage) -> int:
        """Return how many transactions wait for a lock."""
        raise NotImplementedError
