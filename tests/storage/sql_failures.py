"""Test servers that stop, hang, crash and come back."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import pytest

from storage.sql_case import SqlCase, put
from ticking import Ticking
from workertown_kv.errors import StorageUnavailable
from workertown_kv.operations import MUST_NOT_EXIST, Batch, Delete, Get, List, Operation
from workertown_kv.storage import Storage
from workertown_kv.storage.sql.session import Session, Undone
from workertown_kv.storage.sql.storage import SqlStorage

_T = TypeVar("_T")

Act = Callable[[Storage], Awaitable[object]]

ACTS: Final[dict[str, Act]] = {
    "get": lambda storage: storage.get(Get("default", "a")),
    "set": lambda storage: storage.set(put("b")),
    "guarded set": lambda storage: storage.set(put("c", precondition=MUST_NOT_EXIST)),
    "delete": lambda storage: storage.delete(Delete("default", "d")),
    "list": lambda storage: storage.list(List("default", "", 10)),
    "read batch": lambda storage: storage.batch(Batch([Get("default", "a")])),
    "atomic batch": lambda storage: storage.batch(Batch([put("e"), put("f")], atomic=True)),
    "sweep": lambda storage: storage.sweep(10),
    "check": lambda storage: storage.check(),
    "probe": lambda storage: storage.probe(),
    "migrate": lambda storage: storage.migrate(),
}


async def answered(act: Callable[[], Awaitable[_T]]) -> _T:
    """Repeat an operation until the server answers it, for at most a minute."""
    async with asyncio.timeout(60):
        while True:
            with suppress(StorageUnavailable):
                return await act()


class SqlFailures(SqlCase):
    """Tests that requests to a server that does not answer fail soon, and work when it is back."""

    async def test_every_method_says_soon_that_a_stopped_server_is_unavailable(self) -> None:
        storage = await self.opened(timeout=5)
        await storage.set(put("a"))
        with self.server.stopped():
            for act in ACTS.values():
                async with Ticking() as time:
                    with pytest.raises(StorageUnavailable) as caught:
                        await act(storage)
                assert time.ticks < 200
                assert isinstance(caught.value.__cause__, Exception)
            results = await storage.batch(Batch([put("a", b"2"), Get("default", "a"), put("b")]))
            assert [type(one) for one in results] == [StorageUnavailable] * 3
        entry = await storage.get(Get("default", "a"))
        assert entry is not None
        assert entry.value == b"1"

    @pytest.mark.parametrize(
        "first",
        [
            pytest.param(name, marks=() if name == "set" else pytest.mark.deep)
            for name in ACTS
            if name != "migrate"
        ],
    )
    async def test_the_first_request_after_a_restart_succeeds(self, first: str) -> None:
        storage = await self.opened()
        await asyncio.gather(*(storage.set(put(key)) for key in "abdefghi"))
        # Both at once, so that the event loop does not notice that the connections end.
        self.server.kill()
        self.server.start()
        await ACTS[first](storage)

    async def test_every_method_gives_up_on_a_server_that_hangs(self) -> None:
        patient = await self.opened()
        await patient.set(put("a"))
        storage = await self.opened(timeout=0.25)
        with self.server.paused():
            async with Ticking() as time:
                outcomes = await asyncio.gather(
                    *(act(storage) for act in ACTS.values() for _ in range(3)),
                    return_exceptions=True,
                )
            assert time.ticks < 45
        assert time.ticks > 5, "the event loop was blocked"
        for outcome in outcomes:
            assert isinstance(outcome, StorageUnavailable)
            assert "within 0.25 s" in outcome.message
        for _ in range(3):
            entry = await answered(lambda: storage.get(Get("default", "a")))
            assert entry is not None
            assert entry.value == b"1"

    @pytest.mark.deep
    async def test_a_batch_on_a_server_that_hangs_has_one_deadline(self) -> None:
        storage = await self.opened(timeout=1)
        with self.server.paused():
            async with Ticking() as time:
                results = await storage.batch(Batch([put(str(i)) for i in range(100)]))
            assert time.ticks < 190
        assert {type(one) for one in results} == {StorageUnavailable}

    @pytest.mark.deep
    async def test_closing_does_not_wait_for_a_server_that_hangs(self) -> None:
        storage = await self.opened(timeout=1)
        await asyncio.gather(*(storage.set(put(str(i))) for i in range(20)))
        with self.server.paused():
            async with Ticking() as time:
                asked = asyncio.ensure_future(storage.get(Get("default", "1")))
                await asyncio.sleep(0)
                await storage.close()
            assert time.ticks < 300
            assert isinstance(asked.exception(), StorageUnavailable)

    async def test_a_server_that_is_down_at_first_is_used_once_it_is_up(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        storage = self.at()
        with self.server.stopped(), caplog.at_level(logging.WARNING, "workertown_kv"):
            assert list(await storage.open()) == []
            with pytest.raises(StorageUnavailable):
                await storage.get(Get("default", "a"))
        (warned,) = caplog.records
        assert f"127.0.0.1:{self.server.port}" in warned.getMessage()
        versions = await asyncio.gather(*(storage.set(put(str(i))) for i in range(20)))
        assert len(set(versions)) == 20
        assert (
            self.server.sql(f"SELECT name FROM {self.table}_migration")
            == "0001_entry\n0002_changes"
        )

    @pytest.mark.parametrize("other", ["is down", pytest.param("hangs", marks=pytest.mark.deep)])
    async def test_of_several_hosts_one_that_answers_is_enough(self, other: str) -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            if other == "hangs":
                listening.listen()
            port = listening.getsockname()[1]
            here = f"127.0.0.1:{self.server.port}"
            url = self.server.url.replace(here, f"127.0.0.1:{port},{here}")
            storage = await self.opened(url=url, timeout=1, connections=3)
            async with Ticking() as time:
                await asyncio.gather(*(storage.set(put(str(i))) for i in range(20)))
            assert time.ticks < 50, "what was found is not remembered"
            with self.server.stopped(), pytest.raises(StorageUnavailable):
                await storage.set(put("a"))
            await storage.set(put("a"))

    async def test_a_crash_under_writers_loses_nothing_that_was_acknowledged(self) -> None:
        storage = await self.opened()
        attempted: dict[str, int] = {}
        acknowledged: dict[str, int] = {}

        async def write(key: str, enough: asyncio.Event) -> None:
            for number in range(acknowledged.get(key, 0) + 1, 1_000_000):
                attempted[key] = number
                try:
                    await storage.set(put(key, str(number).encode()))
                except StorageUnavailable:
                    return
                acknowledged[key] = number
                if number % 20 == 0:
                    enough.set()

        for _ in range(2):
            enough = asyncio.Event()
            writers = [asyncio.create_task(write(key, enough)) for key in "abcdefgh"]
            await enough.wait()
            self.server.kill()
            await asyncio.wait(writers)
            self.server.start()
            for key, number in acknowledged.items():
                entry = await storage.get(Get("default", key))
                assert entry is not None
                assert int(entry.value) in (number, attempted[key])
                acknowledged[key] = int(entry.value)

    async def test_a_write_whose_answer_is_lost_is_said_to_be_in_doubt(self) -> None:
        storage = await self.opened()
        await storage.set(put("a"))
        lists = [storage.list(List("default", "", 1)) for _ in range(3)]
        await asyncio.gather(*lists)  # now there are connections
        with suppress(StorageUnavailable):  # this transaction is lost as well
            async with storage._database.opened().session() as session, session.transaction():
                await session.execute(storage._statements.claim([("default", "a")], "x"))
                writing = asyncio.ensure_future(storage.set(put("a", b"2")))
                # Once another connection can read this, the write has been sent.
                assert await storage.get(Get("default", "a")) is not None
                self.server.kill()
                with pytest.raises(StorageUnavailable, match="may or may not") as caught:
                    await writing
                assert caught.value.__cause__ is not None
        self.server.start()

    async def test_what_the_server_undoes_after_a_deadlock_is_done_again(self) -> None:
        storage = await self.opened(timeout=20)
        keys = [("default", key) for key in ("b", *map(str, range(50)))]
        # If a slow machine makes the server undo this transaction, that ends the deadlock too.
        with suppress(Undone):
            async with storage._database.opened().session() as session, session.transaction():
                await self.be_favoured(session)
                await session.execute(storage._statements.claim(keys, "x"))
                both: list[Operation] = [put("a"), put("b")]
                done = asyncio.ensure_future(storage.batch(Batch(both, atomic=True)))
                # The batch has locked one row and waits for the other; now the other way round.
                while not await self.is_waited_for(storage):
                    pass
                await session.execute(storage._statements.claim([("default", "a")], "x"))
                assert not done.done()
        assert [type(one) for one in await done] == [str, str]
        assert await storage.get(Get("default", "a")) is not None

    async def be_favoured(self, session: Session) -> None:
        """Make the server prefer to undo other transactions."""

    async def is_waited_for(self, storage: SqlStorage) -> bool:
        """Return whether a transaction waits for a lock, asked over a connection of its own."""
        raise NotImplementedError

    @pytest.mark.deep
    async def test_only_a_write_that_hangs_is_said_to_be_in_doubt(self) -> None:
        storage = await self.opened(timeout=1)
        lists = [storage.list(List("default", "", 1)) for _ in range(3)]
        await asyncio.gather(*lists)  # now there are connections
        with self.server.paused():
            both = (ACTS[act](storage) for act in ("set", "get"))
            outcomes = await asyncio.gather(*both, return_exceptions=True)
        assert [type(one) for one in outcomes] == [StorageUnavailable] * 2
        assert ["may or may not" in str(one) for one in outcomes] == [True, False]

    async def test_a_connection_that_the_server_has_ended_is_not_noticed(self) -> None:
        acts = [act for name, act in ACTS.items() if name != "guarded set"]
        storages = [await self.opened() for _ in acts]
        self.end_connections()
        for storage, act in zip(storages, acts, strict=True):
            await act(storage)

    def end_connections(self) -> None:
        """Let the server end all connections of storages."""
        raise NotImplementedError

    @pytest.mark.deep
    async def test_an_abandoned_wait_leaves_no_answer_to_the_next(self) -> None:
        storage = await self.opened(connections=1)
        for i in range(16):
            await storage.set(put(str(i), str(i).encode()))
        for i in range(16):
            asked = asyncio.ensure_future(storage.get(Get("default", str(i))))
            for _ in range(i % 8):
                await asyncio.sleep(0)
            asked.cancel()
            entry = await storage.get(Get("default", str(i - 1 if i else 15)))
            assert entry is not None
            assert entry.value == entry.key.encode()
