"""Test what storages on database servers promise beyond the conformance suite."""

import asyncio
import os
import random
import textwrap
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from typing import ClassVar

import pytest
from docs.pages import ROOT, blocks

from caller import Caller, make_server, until_status
from depth import IS_DEEP
from longest_turn import longest_turn
from servers.relay import Relay
from storage.sql_case import SqlCase, put
from storage.sql_conformance import SharedSql
from workertown_kv.entry import Entry
from workertown_kv.errors import (
    Conflict,
    InputError,
    KeyTooLong,
    KvError,
    PreconditionFailed,
    StorageError,
    StorageFailure,
    StorageUnavailable,
    ValueTooLarge,
)
from workertown_kv.operations import (
    MUST_NOT_EXIST,
    Batch,
    Delete,
    Get,
    List,
    Operation,
    Precondition,
)
from workertown_kv.storage import SWEEP_MARGIN_SECONDS
from workertown_kv.storage.sql import storage as sql_storage
from workertown_kv.storage.sql.session import Session, Undone
from workertown_kv.storage.sql.storage import SqlStorage
from workertown_kv.testing import MovedClock
from workertown_kv.testing.strategies import ODD_KEYS

LIMIT = 25 * 1024 * 1024


class SqlCases(SharedSql, SqlCase):
    """Tests values, batches and connections of a server that works."""

    @pytest.fixture
    def storage(self, shared: SqlStorage) -> SqlStorage:
        """Return the storage of the class, which works as one that is new."""
        return shared

    @pytest.mark.deep
    @pytest.mark.parametrize("kind", ["quotes", "text", "bytes"])
    async def test_the_largest_values_come_back_byte_for_byte(
        self, storage: SqlStorage, kind: str
    ) -> None:
        value = {
            "quotes": lambda: b'["' + rb"\"\\" * (LIMIT // 4 - 1) + b'"]',
            "text": lambda: '"{}"'.format("é漢字\U0001f600" * (LIMIT // 12 - 1)).encode(),
            "bytes": lambda: os.urandom(LIMIT),
        }[kind]()
        assert LIMIT - 100 < len(value) <= LIMIT
        await storage.set(put("a", value, is_json=kind != "bytes"))
        entry = await storage.get(Get("default", "a"))
        assert entry is not None
        same = entry.value == value  # to show where 25 MiB differ would take minutes
        assert same

    async def test_large_values_of_any_length_come_back_whole(self, storage: SqlStorage) -> None:
        piece = 128 * 1024
        version = ""
        for length in (piece - 1, piece, piece + 1, 3 * piece, *self.odd_lengths):
            value = (os.urandom(1000) * (length // 1000 + 1))[:length]
            version = await storage.set(put("a", value, is_json=False))
            entry = await storage.get(Get("default", "a"))
            assert entry == Entry(key="a", value=value, is_json=False, version=version)
        text = b'"' + b"x" * piece * 2 + b'"'
        guarded = put("a", text, Precondition((version,)), metadata=b"{}", expires_at=4e9)
        with pytest.raises(PreconditionFailed):
            await storage.set(put("a", text, MUST_NOT_EXIST))
        version = await storage.set(guarded)
        gets: list[Operation] = [Get("default", "a"), Get("default", "b"), Get("default", "c")]
        await storage.batch(Batch([put("b", text), put("c", b"1"), *gets[:1]], atomic=True))
        first, second, third = await storage.batch(Batch(gets))
        assert first == Entry(
            key="a", value=text, version=version, metadata=b"{}", expires_at=4e9, is_json=True
        )
        assert isinstance(second, Entry)
        assert isinstance(third, Entry)
        assert (second.value == text, third.value) == (True, b"1")

    odd_lengths: ClassVar[Sequence[int]] = ()
    """The lengths of values that the engine's protocol sends in another way."""

    @pytest.mark.deep
    async def test_no_operation_waits_while_a_large_value_is_on_its_way(
        self, storage: SqlStorage
    ) -> None:
        value = b'"' + b"x" * (LIMIT - 2) + b'"'
        for act, most in (
            (lambda: storage.set(put("a", value)), 0.01),
            (lambda: storage.get(Get("default", "a")), self.reading_seconds),
        ):
            longest = [await longest_turn(act)]
            while min(longest) >= most and len(longest) < 3:
                longest.append(await longest_turn(act))
            assert min(longest) < most

    reading_seconds: ClassVar[float] = 0.01

    @pytest.mark.deep
    async def test_a_large_value_that_is_given_up_leaves_nothing_behind(self) -> None:
        storage = await self.opened(connections=1)
        await storage.set(put("a"))
        acts = (
            lambda: storage.set(put("a", b"x" * 5_000_000, is_json=False)),
            lambda: storage.get(Get("default", "a")),
        )
        for turns in range(1, 60, 4):
            for act in acts:
                acting: asyncio.Future[object] = asyncio.ensure_future(act())
                for _ in range(turns):
                    await asyncio.sleep(0)
                acting.cancel()
                entry = await storage.get(Get("default", "a"))
                assert entry is not None
                assert len(entry.value) in (1, 5_000_000)
                await storage.set(put("a"))

    async def test_a_server_over_http_works_on_it(self) -> None:
        async with make_server(self.at()) as server:
            call = Caller(server)
            put_a = await call.put("a", {"b": [1, "é"]}, ttl=100, metadata={"by": "ada"})
            got = await call("GET", "/v1/kv/a")
            assert got.json()["data"] == {"b": [1, "é"]}
            assert got.headers["etag"] == put_a.headers["etag"]
            guard = {"If-Match": got.headers["etag"]}
            assert (
                await call("PUT", "/v1/kv/a", json={"value": 2}, headers=guard)
            ).status_code == 200
            assert (await call("DELETE", "/v1/kv/a", headers=guard)).status_code == 412
            await call.put("b", 3)
            listed = await call.data("GET", "/v1/kv")
            assert [one["key"] for one in listed["keys"]] == ["a", "b"]
            operations = [
                {"op": "set", "key": "a", "value": 5},
                {"op": "set", "key": "b", "value": 5, "if_version": "other"},
            ]
            refused = await call("POST", "/v1/kv", json={"atomic": True, "operations": operations})
            assert refused.status_code == 409
            assert await call.data("GET", "/v1/kv/a") == 2
            await until_status(lambda: call("GET", "/health"), 200)
            assert await call.data("POST", "/admin/migrate", json={}) == []
            with self.server.stopped():
                assert (await call("GET", "/v1/kv/a")).status_code == 503
                await until_status(lambda: call("GET", "/health"), 503)
            assert await call.data("GET", "/v1/kv/a") == 2

    async def test_what_no_row_can_have_is_refused_and_says_why(self, storage: SqlStorage) -> None:
        with pytest.raises(KeyTooLong):
            await storage.set(put("é" * 1025))
        for namespace in ("n" * 256, "a\0b"):
            for act in (storage.get(Get(namespace, "a")), storage.list(List(namespace, "", 1))):
                with pytest.raises(InputError):
                    await act
        with pytest.raises(PreconditionFailed):
            await storage.set(put("a", precondition=Precondition(("\0", "é", ""))))
        await storage.set(put("a", precondition=Precondition(("\0",), negated=True)))
        await storage.set(put("b" * 2048, b"1", expires_at=253_402_300_799.5))
        with pytest.raises(StorageError):
            await storage.set(put("c", b"\xff"))
        page = await storage.list(List("default", "", 9))
        assert [one.key for one in page.keys] == ["a", "b" * 2048]

    async def test_spaces_and_nuls_at_the_end_of_a_key_are_part_of_it(
        self, storage: SqlStorage
    ) -> None:
        keys = ["a", "a ", "a  ", "a\0", "a\0 ", "A", "á"]
        for key in keys:
            await storage.set(put(key, key.encode(), precondition=MUST_NOT_EXIST, is_json=False))
        await storage.set(put("x", namespace="default "))
        got = await storage.batch(Batch([Get("default", key) for key in keys]))
        assert [one.value for one in got if isinstance(one, Entry)] == [k.encode() for k in keys]
        assert await storage.get(Get("default", "x")) is None

    async def test_two_stores_share_a_database(self) -> None:
        one, two = await self.opened(), await self.opened(table=f"{self.table}_2")
        await one.set(put("a", b"1"))
        assert await two.get(Get("default", "a")) is None
        await two.migrate(to=0)
        assert await one.get(Get("default", "a")) is not None

    async def test_a_negated_precondition_of_a_delete_depends_on_the_entry(
        self, storage: SqlStorage
    ) -> None:
        not_a = Precondition(("a", "b"), negated=True)
        await storage.delete(Delete("default", "k", not_a))
        version = await storage.set(put("k"))
        with pytest.raises(PreconditionFailed):
            await storage.delete(Delete("default", "k", Precondition(("a", version), negated=True)))
        await storage.delete(Delete("default", "k", not_a))
        assert await storage.get(Get("default", "k")) is None

    # Batches

    @pytest.mark.deep
    async def test_a_batch_reads_no_more_than_it_may_return(self, storage: SqlStorage) -> None:
        for i in range(16):
            await storage.set(put(str(i), b"x" * 2_000_000, is_json=False))
        gets: list[Operation] = [Get("default", str(i)) for i in range(16)]
        mixed: list[Operation] = [*gets, put("new")]
        tracemalloc.start()
        for operations in (gets, mixed, [*gets, *gets]):
            results = await storage.batch(Batch(operations, read_bytes=4_400_000))
            kinds = [type(one) for one in results[:16]]
            assert kinds == [Entry] * 2 + [ValueTooLarge] * 14
            del results
            with pytest.raises(ValueTooLarge):
                await storage.batch(Batch(operations, atomic=True, read_bytes=4_400_000))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 22_000_000

    async def test_a_value_that_is_requested_repeatedly_is_read_once(
        self, storage: SqlStorage
    ) -> None:
        await storage.set(put("a", b"x" * 5_000_000, is_json=False))
        tracemalloc.start()
        results = await storage.batch(
            Batch([Get("default", "a")] * 10, read_bytes=50_000_000, atomic=True)
        )
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(results) == 10
        assert peak < 25_000_000

    async def test_a_large_atomic_batch_is_one_transaction(self, clock: MovedClock) -> None:
        storage = await self.opened(clock)
        before = [put(str(i), expires_at=clock() + (1 if i % 2 else 100)) for i in range(0, 900, 3)]
        await storage.batch(Batch(before))
        clock.move(1)
        text = b'"' + b"x" * 5000 + b'"'
        operations: list[Operation] = [
            Delete("default", str(i)) if i % 2 else put(str(i), text) for i in range(900)
        ]
        operations += [Get("default", str(i)) for i in range(50)] + [Get("other", "none")]
        results = await storage.batch(Batch(operations, atomic=True))
        assert [one is not None for one in results[900:]] == [i % 2 == 0 for i in range(50)] + [
            False
        ]
        page = await storage.list(List("default", "", 1000))
        assert {one.key for one in page.keys} == {str(i) for i in range(0, 900, 2)}
        rows = self.server.sql(f"SELECT count(*) FROM {self.table}")
        assert rows == "450", "something was left behind"
        with pytest.raises(Conflict):
            await storage.batch(
                Batch([*operations, put("0", precondition=MUST_NOT_EXIST)], atomic=True)
            )
        assert self.server.sql(f"SELECT count(*) FROM {self.table}") == "450"

    async def test_a_conflict_names_all_guards_that_do_not_hold(self, storage: SqlStorage) -> None:
        version = await storage.set(put("a"))
        stale, current = Precondition(("stale",)), Precondition((version,))
        operations: list[Operation] = [
            put("a", precondition=stale),
            Get("default", "a", stale),
            Get("default", "a", current),
            Delete("default", "a", MUST_NOT_EXIST),
            Get("default", "b", current),
            put("b"),
            Get("default", "b", MUST_NOT_EXIST),
        ]
        with pytest.raises(Conflict) as caught:
            await storage.batch(Batch(operations, atomic=True))
        assert caught.value.failed == (0, 1, 3, 4, 6)

    async def test_a_guard_of_an_atomic_batch_holds_until_all_of_it_is_done(self) -> None:
        ours, theirs = await self.opened(), await self.opened()
        await ours.set(put("lease"))
        done = False

        async def work() -> None:
            """Write under the lease again and again."""
            while not done:
                lease = await theirs.get(Get("default", "lease"))
                assert lease is not None
                held = Get("default", "lease", Precondition((lease.version,)))
                text = lease.version.encode()
                with suppress(Conflict):
                    await theirs.batch(Batch([held, put("work", text)], atomic=True))

        working = [asyncio.create_task(work()) for _ in range(4)]
        for _ in range(20 if IS_DEEP else 5):
            taken = (await ours.set(put("lease"))).encode()
            before = await ours.get(Get("default", "work"))
            for _ in range(5):
                after = await ours.get(Get("default", "work"))
                assert after == before or (after is not None and after.value == taken)
                before = after
        done = True
        await asyncio.gather(*working)

    async def test_what_is_absent_stays_so_until_an_atomic_batch_is_done(self) -> None:
        storages = [await self.opened() for _ in range(2)]
        rounds = 25 if IS_DEEP else 5
        for number in range(rounds):
            names = [f"a{number}", f"b{number}"]
            batches = [
                Batch([Get("default", names[i - 1], MUST_NOT_EXIST), put(names[i])], atomic=True)
                for i in (0, 1)
            ]
            outcomes = await asyncio.gather(
                *(one.batch(two) for one, two in zip(storages, batches, strict=True)),
                return_exceptions=True,
            )
            assert sorted(type(one).__name__ for one in outcomes) == ["Conflict", "list"]
        assert self.server.sql(f"SELECT count(*) FROM {self.table}") == str(rounds)

    async def test_where_servers_compare_what_was_written_all_of_a_batch_is_written(
        self, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Session, "certifies", True)
        storage = await self.opened(clock)
        await storage.set(
            put("read", b"\0\xff", is_json=False, metadata=b"{}", expires_at=clock() + 9)
        )
        version = await storage.set(put("expired", expires_at=clock() + 1))
        clock.move(1)
        keys = ["read", "expired", "never"]
        reads: list[Operation] = [Get("default", key) for key in keys]
        before = await storage.batch(Batch(reads))
        results = await storage.batch(Batch([*reads, put("written")], atomic=True))
        assert results[:3] == before
        assert await storage.batch(Batch(reads)) == before
        assert self.server.sql(f"SELECT count(*) FROM {self.table}") == "3"
        clock.move(-1)  # the clock of another server
        entry = await storage.get(Get("default", "expired"))
        assert entry is not None
        assert entry.version != version

    @pytest.mark.deep
    async def test_batches_on_the_same_keys_in_any_order_all_succeed(self) -> None:
        storages = [await self.opened(timeout=20, connections=5) for _ in range(2)]
        keys = [str(i) for i in range(20)]

        async def write(number: int) -> Sequence[object]:
            chosen = random.sample(keys, 8)
            operations: list[Operation] = [put(key, str(number).encode()) for key in chosen[:5]]
            operations += [Delete("default", key) for key in chosen[5:7]]
            return await storages[number % 2].batch(
                Batch([*operations, Get("default", chosen[7])], atomic=True)
            )

        each = 30 if IS_DEEP else 10
        singles = (storages[i % 2].set(put(random.choice(keys))) for i in range(each))
        results = await asyncio.gather(*(write(i) for i in range(each)), *singles)
        assert len(results) == 2 * each

    # Other programs at the table

    async def test_a_table_that_is_changed_is_used_as_before(self) -> None:
        storage = await self.opened(connections=1)
        await storage.set(put("a", expires_at=4e9))
        both: list[Operation] = [Get("default", "a"), put("b")]
        acts: list[Callable[[], Awaitable[object]]] = [
            lambda: storage.batch(Batch(both, atomic=True)),
            lambda: storage.get(Get("default", "a")),
            lambda: storage.list(List("default", "", 10)),
            lambda: storage.batch(Batch(both)),
            lambda: storage.sweep(10),
        ]
        for act in acts:
            await act()
        for act, kind in zip(acts, cycle((self.other_float, self.float)), strict=False):
            self.server.sql(f"ALTER TABLE {self.table} {self.change} expires_at {kind}")
            await act()

    change: ClassVar[str]
    float: ClassVar[str]
    other_float: ClassVar[str]

    async def test_the_page_shows_what_is_so(self) -> None:
        storage = await self.opened(table="kv_entry")
        await storage.set(put("theme", b'{"dark":  true}', metadata=b'{"by":"ada"}'))
        await storage.set(put("limits", b'{"rows": 10}'))
        await storage.set(put("gone", b"1", expires_at=1_000_000_000.5))
        found = list(blocks(ROOT / "docs" / "storages" / self.page))
        ran = 0
        for block, after in zip(found, [*found[1:], None], strict=True):
            if block.language != "sql":
                continue
            title, _, text = block.text.partition("\n")
            if title.startswith("-- What the migration"):
                made = self.layout.format(table="kv_entry")
                assert text.strip() == textwrap.dedent(made).strip()
                continue
            printed = self.ask(text)
            if after is not None and after.language == "text" and after.line < block.line + 20:
                assert printed == after.text.strip()
            ran += 1
        assert ran == 5
        entry = await storage.get(Get("default", "theme"))
        assert entry is not None
        assert (entry.value, entry.version) == (b'{"dark": false}', "by-hand-1")
        await storage.migrate(to=0)

    page: ClassVar[str]
    layout: ClassVar[str]

    def ask(self, text: str) -> str:
        """Run statements as a user who may do everything."""
        return self.server.sql(text)

    @pytest.mark.deep
    async def test_a_dump_brings_everything_back(self) -> None:
        storage = await self.opened()
        for key in ODD_KEYS:
            await storage.set(put(key, repr(key).encode(), metadata=b'{"a":"\\"}', is_json=False))
        await storage.set(put("text", '"é\\n\\u0000😀\'\\""'.encode(), expires_at=4e9 + 0.1))
        gets: list[Operation] = [Get("default", key) for key in (*ODD_KEYS, "text")]
        before = await storage.batch(Batch(gets))
        dump = self.dump()
        await storage.migrate(to=0)
        self.server.sql(f"DROP TABLE {self.table}_migration")
        await storage.migrate()
        self.restore(dump)
        assert await storage.batch(Batch(gets)) == before
        assert list(await storage.migrate()) == []

    def dump(self) -> str:
        """Return the table of this test, as the engine's own program writes it."""
        raise NotImplementedError

    def restore(self, dump: str) -> None:
        """Make the table from the text that was written."""
        raise NotImplementedError

    async def test_a_listing_goes_over_what_has_expired_in_bounded_steps(
        self, storage: SqlStorage, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sql_storage, "STEP_ROWS", 10)
        monkeypatch.setattr(sql_storage, "MOST_READS", 5)
        alive = ["a000", "a035", "a140"]
        sets: list[Operation] = [put(f"a{i:03}", expires_at=clock() + 1) for i in range(200)]
        await storage.batch(Batch(sets, atomic=True))
        for key in alive:
            await storage.set(put(key))
        clock.move(1)
        page = await storage.list(List("default", "a", 5))
        assert [one.key for one in page.keys] == alive[:2]
        assert page.cursor is not None, "it goes on, and has not looked at all of them yet"
        pages = [page]
        while (cursor := pages[-1].cursor) is not None:
            pages.append(await storage.list(List("default", "a", 5, cursor)))
        assert [one.key for page in pages for one in page.keys] == alive
        assert all(page.keys for page in pages[:-1])
        assert [one.key for one in (await storage.list(List("default", "a03", 1))).keys] == ["a035"]

    # Connections

    async def test_everything_but_an_atomic_batch_is_one_round_trip(self) -> None:
        with Relay(self.server.port) as relay:
            url = relay.in_front(self.server.url)
            storage = await self.opened(url=url, connections=1)
            either = Precondition(("a", "b"))
            acts: dict[str, tuple[int, Callable[[], Awaitable[object]]]] = {
                "get": (1, lambda: storage.get(Get("default", "a"))),
                "set": (1, lambda: storage.set(put("a"))),
                "large set": (1, lambda: storage.set(put("a", b"1" * 1_000_000))),
                "create": (1, lambda: storage.set(put("a", precondition=MUST_NOT_EXIST))),
                "compare and set": (1, lambda: storage.set(put("a", precondition=either))),
                "delete": (1, lambda: storage.delete(Delete("default", "b"))),
                "guarded delete": (1, lambda: storage.delete(Delete("default", "a", either))),
                "list": (1, lambda: storage.list(List("default", "", 10))),
                "read batch": (1, lambda: storage.batch(Batch([Get("default", "a")] * 3))),
                "check": (1, storage.check),
                "sweep": (2, lambda: storage.sweep(10)),
                "atomic": (5, lambda: storage.batch(Batch([put("a"), put("b")], atomic=True))),
                "batch": (2, lambda: storage.batch(Batch([put("a"), Delete("default", "b")]))),
            }
            for name, (trips, act) in acts.items():
                counted = []
                for _ in range(3):  # the first time, statements are prepared
                    before = relay.round_trips
                    with suppress(PreconditionFailed):
                        await act()
                    counted.append(relay.round_trips - before)
                assert counted[1:] == [trips, trips], name
            await storage.close()

    async def test_there_are_no_more_connections_than_allowed(self, kept: SqlStorage) -> None:
        await kept.close()
        storage = await self.opened(connections=3)
        async with asyncio.timeout(60):
            while await self.connections(storage) > 1:
                pass  # those of other tests are still ending
        most = 0

        async def work(number: int) -> None:
            nonlocal most
            await storage.set(put(str(number)))
            most = max(most, await self.connections(storage))

        await asyncio.gather(*(work(i) for i in range(60)))
        assert most == 3

    @pytest.mark.deep
    async def test_what_finds_no_connection_waits_for_one_that_there_is(self) -> None:
        url = self.limited(3)
        storage = await self.opened(url=url, connections=10)
        batches = [Batch([put(str(i % 16))], atomic=True) for i in range(100)]
        assert len(await asyncio.gather(*map(storage.batch, batches))) == 100
        other = await self.opened(url=url)
        with pytest.raises(StorageUnavailable) as caught:  # this one has none at all
            await asyncio.gather(*(other.get(Get("default", "a")) for _ in range(5)))
        assert caught.value.kind is StorageFailure.BUSY

    def limited(self, connections: int) -> str:
        """Return the URL for a user who may have this many connections."""
        raise NotImplementedError

    async def connections(self, storage: object) -> int:
        """Return how many connections of storages the server has, asked over one of them."""
        raise NotImplementedError

    async def test_a_clock_that_differs_from_the_servers_causes_a_warning(self) -> None:
        clock = MovedClock(time.time())
        storage = await self.opened(clock)
        assert list(await storage.warnings()) == []
        for seconds, side in ((100, "ahead of"), (-200, "behind")):
            clock.now = time.time() + seconds
            (warning,) = await storage.warnings()
            assert f"s {side} that of {storage._database.engine}" in warning

    def set_careless(self, *, careless: bool) -> None:
        """Let the server lose acknowledged writes in a crash, or keep them as usual."""
        raise NotImplementedError

    async def test_a_server_that_loses_writes_in_a_crash_causes_a_warning(self) -> None:
        self.set_careless(careless=True)
        try:
            storage = await self.opened()
            (warning,) = await storage.warnings()
            assert f"A crash of {storage._database.engine} loses writes" in warning
        finally:
            self.set_careless(careless=False)
        assert list(await (await self.opened()).warnings()) == []

    async def test_while_one_server_sweeps_no_other_does(self, clock: MovedClock) -> None:
        one, two = await self.opened(clock), await self.opened(clock)
        for key in "abc":
            await one.set(put(key, expires_at=clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        assert await one.sweep(1) == 1
        with suppress(StorageUnavailable):
            async with self.sweeping(one) as session:
                assert await two.sweep(9) == 0
                assert self.server.sql(f"SELECT count(*) FROM {self.table}") == "2"
                session.terminate()  # as when the worker dies
                while not await two.sweep(9):
                    pass
        assert self.server.sql(f"SELECT count(*) FROM {self.table}") == "0"

    @asynccontextmanager
    async def sweeping(self, storage: SqlStorage) -> AsyncIterator[Session]:
        """Enter the middle of a step of the sweep that removes nothing."""
        async with storage._database.opened().session() as session, session.transaction():
            claim = storage._statements.sweep_claim
            if claim is not None:
                assert (await session.fetch(claim))[0][0] == 1
            await session.execute(storage._statements.sweep(0.0, 1))
            yield session

    async def test_a_sweep_that_fails_or_is_given_up_blocks_no_other(
        self, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, two = await self.opened(clock), await self.opened(clock)
        await one.set(put("a", expires_at=clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)
        for error in (StorageError("no"), asyncio.CancelledError()):

            async def fail(*_: object, error: BaseException = error) -> int:
                raise error

            with monkeypatch.context() as patched, suppress(asyncio.CancelledError, StorageError):
                patched.setattr(one, "_swept", fail)
                await one.sweep(9)
        while not await two.sweep(9):
            pass

    async def test_a_sweep_that_the_server_undoes_is_left_for_later(
        self, storage: SqlStorage, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await storage.set(put("a", expires_at=clock() + 1))
        clock.move(1 + SWEEP_MARGIN_SECONDS)

        async def undone(*_: object) -> int:
            raise Undone("Others were there")

        async with storage._database.opened().session() as session:
            kind = type(session)
        with monkeypatch.context() as patched:
            patched.setattr(kind, "execute", undone)
            assert await storage.sweep(9) == 0
        assert await storage.sweep(9) == 1

    @pytest.mark.deep
    async def test_several_workers_may_sweep_at_once(self, clock: MovedClock) -> None:
        storages = [await self.opened(clock) for _ in range(4)]
        keys = [str(i) for i in range(400)]
        some: list[Operation] = [put(key, expires_at=clock() + 1) for key in keys]
        await storages[0].batch(Batch(some, atomic=True))
        await storages[0].set(put("kept"))
        clock.move(1 + SWEEP_MARGIN_SECONDS)

        async def sweep(number: int) -> list[int]:
            swept: list[int] = []
            while not swept or swept[-1]:
                swept.append(await storages[number].sweep(30))
                await storages[number].set(put(f"{number}"))  # writes go on meanwhile
            return swept

        counts = await asyncio.gather(*(sweep(i) for i in range(4)))
        assert max(max(one) for one in counts) <= 30
        assert sum(sum(one) for one in counts) >= 396
        rows = self.server.sql(f"SELECT count(*) FROM {self.table}")
        assert rows == "5"

    async def test_no_error_and_no_repr_shows_the_password(self) -> None:
        port = self.server.port
        scheme = self.server.url.partition("://")[0]
        database = self.server.url.rpartition("/")[2]
        storage = self.at(url=f"{scheme}://kv:wr0ng@127.0.0.1:{port}/{database}")
        with pytest.raises(StorageError) as refused:
            await storage.open()
        assert not isinstance(refused.value, StorageUnavailable)
        nowhere = self.at(url=f"{self.server.url}_not")
        with pytest.raises(StorageError) as missing:
            await nowhere.open()
        down = self.at()
        with self.server.stopped():
            await down.open()
            with pytest.raises(StorageUnavailable) as unreachable:
                await down.get(Get("default", "a"))
        assert str(port) not in unreachable.value.message
        await down.close()
        for error in (refused.value, missing.value, unreachable.value):
            assert isinstance(error, KvError)
            for shown in (error.message, repr(error), repr(error.__cause__)):
                for secret in ("wr0ng", "s3cr/et", "s3cr%2Fet"):
                    assert secret not in shown
        for one in (storage, nowhere, down, storage._database, storage._database._url):
            assert "wr0ng" not in repr(one)
            assert "s3cr" not in repr(one)
