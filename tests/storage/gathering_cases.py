"""Test storages that gather operations: each operation has the outcome that it would have alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from caller import make_server
from depth import IS_DEEP
from served_socket import SECONDS, request, serving, statuses
from served_socket import put as put_request
from workertown_kv.entry import Entry
from workertown_kv.errors import KvError, PreconditionFailed
from workertown_kv.meters.catalogue import GROUP_SIZE, WAITING
from workertown_kv.meters.metric import Distribution
from workertown_kv.operations import MUST_EXIST, MUST_NOT_EXIST, Delete, Get, Precondition, Set
from workertown_kv.storage import Storage
from workertown_kv.storage.gathered_operations import JOB_BYTES
from workertown_kv.testing import MovedClock
from workertown_kv.testing.strategies import ODD_KEYS

CALLERS = 64


def put(key: str, value: bytes = b"1", precondition: Precondition | None = None) -> Set:
    return Set(namespace="default", key=key, value=value, precondition=precondition)


@pytest.mark.anyio
class GatheringCases:
    most_for_gets = 4
    """The most statements for 64 gets: two go alone, and the others in groups."""

    most_for_sets = 4

    apart = 2
    """How many of the large values of a group are read apart."""

    def storage(self, clock: MovedClock) -> AbstractAsyncContextManager[Storage]:
        """Return an open storage without entries."""
        raise NotImplementedError

    def statements(self) -> int:
        """Return how many statements or requests the storage has sent so far."""
        raise NotImplementedError

    @pytest.fixture
    async def gathered(self, clock: MovedClock) -> AsyncIterator[Storage]:
        async with self.storage(clock) as storage:
            await warm_up(storage)
            yield storage

    async def test_gets_that_arrive_together_are_few_statements(self, gathered: Storage) -> None:
        keys = [f"key {number}" for number in range(CALLERS)]
        before = self.statements()
        versions = await _all(gathered, [put(key, f'"{key}"'.encode()) for key in keys])
        assert self.statements() - before <= self.most_for_sets
        before = self.statements()
        entries = await _all(gathered, [Get("default", key) for key in keys])
        assert self.statements() - before <= self.most_for_gets
        for key, version, entry in zip(keys, versions, entries, strict=True):
            assert isinstance(version, str)
            assert entry == Entry(key=key, value=f'"{key}"'.encode(), version=version)

    async def test_groups_and_what_waits_for_them_are_measured(self, gathered: Storage) -> None:
        def sizes() -> tuple[int, float]:
            (found,) = (
                number
                for metric, number, labels in gathered.measurements()
                if (metric, labels) == (GROUP_SIZE, ("writes",))
            )
            assert isinstance(found, Distribution)
            return sum(found.counts), found.total

        groups, writes = sizes()
        sets = [asyncio.ensure_future(gathered.set(put(str(n)))) for n in range(CALLERS)]
        await asyncio.sleep(0)
        waiting = sum(
            number
            for metric, number, _ in gathered.measurements()
            if metric is WAITING and not isinstance(number, Distribution)
        )
        assert 0 < waiting <= CALLERS
        await asyncio.gather(*sets)
        more_groups, more_writes = sizes()
        assert more_writes - writes == CALLERS
        assert 0 < more_groups - groups < CALLERS / 2

    async def test_a_get_that_has_no_company_is_one_statement(self, gathered: Storage) -> None:
        before = self.statements()
        assert await gathered.get(Get("default", "warm")) is not None
        assert self.statements() - before == 1

    async def test_plain_requests_need_no_task(self, gathered: Storage) -> None:
        await gathered.close()  # the server opens it
        async with make_server(gathered) as server, serving(server) as served:
            assert server.plain is not None
            sent = [
                put_request(b"a", b'{"value":1}'),
                request(b"GET /v1/kv/a"),
                request(b"GET /v1/kv?prefix=a"),
                request(b"DELETE /v1/kv/a"),
                request(b"GET /v1/kv/a"),
            ]
            # One after the other, so that each begins without a task; then beside each other.
            for callers in (1, 5):
                streams = [await served.connect() for _ in range(callers)]
                for _, writer in streams:
                    writer.write(b"".join(sent))
                    writer.write(request(b"GET /health/live", b"Connection: close"))
                for reader, writer in streams:
                    found = statuses(await asyncio.wait_for(reader.read(-1), SECONDS))
                    assert found[:2] == [200, 200] if callers == 1 else found[0] == 200
                    assert len(found) == len(sent) + 1
                    assert set(found) <= {200, 404}
                    writer.close()

    async def test_each_get_finds_its_own_entry(self, gathered: Storage, clock: MovedClock) -> None:
        sets = [
            Set(
                namespace=namespace,
                key=key,
                value=f'"{namespace} {number}"'.encode(),
                is_json=bool(number % 2),
                metadata=b'{"a":1}' if number % 3 else None,
                expires_at=clock() + 1 + number % 2 if number % 5 else None,
            )
            for number, key in enumerate(ODD_KEYS)
            for namespace in ("default", "other: %/é")
        ]
        versions = await _all(gathered, sets)
        clock.move(1)
        gets = [Get(one.namespace, one.key) for one in sets]
        gets += [Get("default", "none"), Get("none", "warm"), *gets[:5]]
        entries = await _all(gathered, gets)
        expected: list[Entry | None] = []
        for one, version in zip(sets, versions, strict=True):
            assert isinstance(version, str)
            entry = one.entry(version)
            expected.append(entry if entry.is_alive(clock()) else None)
        assert None in expected
        assert entries == [*expected, None, None, *expected[:5]]

    async def test_a_large_value_comes_whole_and_apart(self, gathered: Storage) -> None:
        sizes = [JOB_BYTES - 1, JOB_BYTES, JOB_BYTES + 1, 1_000_000, 1]
        values = [b'"' + b"x" * (size - 2) + b'"' if size > 1 else b"1" for size in sizes]
        keys = [str(size) for size in sizes]
        await _all(gathered, [put(*one) for one in zip(keys, values, strict=True)])
        before = self.statements()
        entries = await _all(gathered, [Get("default", key) for key in ("warm", *keys)])
        assert [one.value for one in entries if isinstance(one, Entry)] == [b"1", *values]
        # One for each of two gets, one for the others, and one for each large value of these.
        assert 3 + self.apart <= self.statements() - before <= self.most_for_gets + 2

    async def test_a_precondition_that_does_not_hold_fails_alone(self, gathered: Storage) -> None:
        current, stale = await gathered.set(put("there")), Precondition(("stale",))
        holds = Precondition((current,))
        await _all(gathered, [put("old"), put("old2"), put("old3"), put("old4")])
        writes: dict[str, tuple[Set | Delete, bool]] = {
            "first": (put("first"), True),
            "plain": (put("plain", b"2"), True),
            "stale": (put("there", b"2", stale), False),
            "stale delete": (Delete("default", "there", stale), False),
            "new": (put("new", b"2", MUST_NOT_EXIST), True),
            "taken": (put("old", b"2", MUST_NOT_EXIST), False),
            "missing": (put("missing", b"2", MUST_EXIST), False),
            "missing delete": (Delete("default", "missing", MUST_EXIST), False),
            "nothing to delete": (Delete("default", "missing"), True),
            "delete": (Delete("default", "old2"), True),
            "guarded delete": (Delete("default", "old3", MUST_EXIST), True),
            "guarded": (put("old4", b"2", MUST_EXIST), True),
            "swap": (put("there", b"3", holds), True),
            "lost swap": (put("there", b"4", holds), False),
        }
        outcomes = await _all(gathered, [one for one, _ in writes.values()])
        for (name, (_, happens)), outcome in zip(writes.items(), outcomes, strict=True):
            assert isinstance(outcome, PreconditionFailed) is not happens, name
            assert isinstance(outcome, KvError) is not happens, name
        keys = ["first", "plain", "there", "new", "old", "missing", "old2", "old3", "old4"]
        entries = await _all(gathered, [Get("default", key) for key in keys])
        found = [one.value if isinstance(one, Entry) else None for one in entries]
        assert found == [b"1", b"2", b"3", b"2", b"1", None, None, None, b"2"]

    async def test_only_one_of_many_who_create_or_swap_at_once_succeeds(
        self, gathered: Storage
    ) -> None:
        condition = MUST_NOT_EXIST
        for _ in range(3):
            values = [b"%d" % number for number in range(CALLERS)]
            outcomes = await _all(gathered, [put("a", value, condition) for value in values])
            (version,) = [one for one in outcomes if isinstance(one, str)]
            entry = await gathered.get(Get("default", "a"))
            assert entry is not None
            assert entry == Entry(key="a", value=values[outcomes.index(version)], version=version)
            condition = Precondition((version,))

    async def test_of_writes_of_one_key_the_last_answer_is_a_version_that_was_returned(
        self, gathered: Storage
    ) -> None:
        values = [b"%d" % number for number in range(CALLERS)]
        versions = await _all(gathered, [put("a", value) for value in values])
        assert len(set(map(str, versions))) == CALLERS
        entry = await gathered.get(Get("default", "a"))
        assert entry is not None
        assert versions[values.index(entry.value)] == entry.version

    async def test_a_read_sees_every_write_that_was_answered_before_it_began(
        self, gathered: Storage
    ) -> None:
        answered = dict.fromkeys("abcd", 0)
        for key in answered:
            await gathered.set(put(key, b"0"))

        async def write(key: str) -> None:
            for number in range(1, 60):
                await gathered.set(put(key, b"%d" % number))
                answered[key] = number

        async def read() -> None:
            while answered["a"] < 59:
                least = dict(answered)
                entries = await _all(gathered, [Get("default", key) for key in least])
                for key, entry in zip(least, entries, strict=True):
                    assert isinstance(entry, Entry)
                    assert int(entry.value) >= least[key]

        await asyncio.gather(*map(write, answered), *(read() for _ in range(8)))

    @pytest.mark.parametrize("what", ["get", "set"])
    async def test_a_caller_who_goes_away_cancels_nothing_for_others(
        self, gathered: Storage, what: str
    ) -> None:
        await gathered.set(put("a", b"0"))
        for turns in range(12) if IS_DEEP else (0, 1, 2, 3, 5, 8):
            keys = [f"{turns} {number}" for number in range(24)]
            operations: Sequence[Get | Set] = [put(key) for key in keys]
            if what == "get":
                await _all(gathered, operations)
                operations = [Get("default", key) for key in keys]
            acting = [asyncio.ensure_future(_one(gathered, one)) for one in operations]
            for _ in range(turns):
                await asyncio.sleep(0)
            for one in acting[::3]:
                one.cancel()
            outcomes = await asyncio.gather(*acting, return_exceptions=True)
            for index, outcome in enumerate(outcomes):
                if index % 3:
                    assert isinstance(outcome, Entry | str)
            after = await _all(gathered, [Get("default", key) for key in keys])
            assert all(isinstance(one, Entry) for one in [*after[1::3], *after[2::3]])


async def warm_up(storage: Storage) -> None:
    """Let everything happen that happens only once, such as loading scripts."""
    for _ in range(3):
        await _all(storage, [put("warm"), put("warm2"), put("warm3")])
        await _all(storage, [Get("default", "warm")] * 3)


async def _one(storage: Storage, operation: Get | Set | Delete) -> Entry | str | None:
    match operation:
        case Get():
            return await storage.get(operation)
        case Set():
            return await storage.set(operation)
        case Delete():
            await storage.delete(operation)
            return None


async def _all(
    storage: Storage, operations: Sequence[Get | Set | Delete]
) -> list[Entry | str | BaseException | None]:
    """Run operations at the same time."""
    acts = [_one(storage, one) for one in operations]
    return await asyncio.gather(*acts, return_exceptions=True)
