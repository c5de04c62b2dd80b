"""Test that EtcdStorage keeps the contract, in an etcd that other programs can read."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest

from caller import Caller, make_server
from servers.etcd import RunningMember
from servers.relay import Relay
from storage.etcd_case import SPACE, member, opened, prefix, program, put
from workertown_kv.entry import Entry
from workertown_kv.errors import CursorGone, StorageUnsupported, ValueTooLarge
from workertown_kv.operations import (
    MUST_EXIST,
    MUST_NOT_EXIST,
    Batch,
    Delete,
    DeletePrefix,
    Event,
    Get,
    List,
    Operation,
    Precondition,
    ReadChanges,
    Touch,
)
from workertown_kv.storage import SWEEP_MARGIN_SECONDS, Clock, Retention, Storage
from workertown_kv.storage.etcd import EtcdStorage
from workertown_kv.testing import MovedClock, StorageConformance
from workertown_kv.testing.conformance.batches import Batches
from workertown_kv.testing.conformance.changes.log import changes_since, cursor_of_now, seen
from workertown_kv.testing.conformance.preconditions import Preconditions

__all__ = ["member", "prefix", "program"]

pytestmark = pytest.mark.anyio

VALUE_BYTES = 1_507_328


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def storage(
    member: RunningMember, prefix: str, clock: MovedClock
) -> AsyncIterator[EtcdStorage]:
    async with opened(f"{member.url}/{prefix}?compact=never", clock) as storage:
        yield storage


class OnEtcd:
    value_bytes = VALUE_BYTES

    @pytest.fixture(autouse=True)
    def on(self, member: RunningMember) -> None:
        self.url = member.url

    def make(self, clock: Clock, folder: Path) -> Storage:
        # A compaction for one test would take the history of the others.
        prefix = sha1(bytes(folder)).hexdigest()
        return EtcdStorage(f"{self.url}/{prefix}?compact=never", clock=clock)


@pytest.mark.deep
class TestEtcdStorage(OnEtcd, StorageConformance):
    pass


class TestWritesToEtcd(OnEtcd, Preconditions, Batches):
    @pytest.mark.deep
    async def test_compare_and_set_loses_no_update(self, storage: Storage) -> None:
        await super().test_compare_and_set_loses_no_update(storage)


# The layout


def keys_in(member: RunningMember, prefix: str) -> dict[bytes, bytes]:
    """Return all keys in etcd with a prefix, without the prefix, and their values."""
    start = f"{prefix}/".encode()
    found = member.ask("kv/range", key=_text(start), range_end=_text(start[:-1] + b"0"))
    return {
        b64decode(one["key"]).removeprefix(start): b64decode(one.get("value", ""))
        for one in found.get("kvs", [])
    }


def _text(key: bytes) -> str:
    return b64encode(key).decode()


async def test_an_entry_is_one_key_that_other_programs_can_read(
    storage: EtcdStorage, member: RunningMember, prefix: str
) -> None:
    version = await storage.set(put("a/é", b"\xff\n1"))
    assert keys_in(member, prefix)["entry/default/a/é".encode()] == (
        f"never {version} bytes\n".encode() + b"\xff\n1"
    )


async def test_what_another_program_writes_in_the_layout_is_an_entry(
    storage: EtcdStorage, member: RunningMember, prefix: str
) -> None:
    value = b'001800000000.500000000 by-hand-1 json {"a":"b c"}\n{"dark":true}'
    name = f"{prefix}/entry/default/theme".encode()
    member.ask("kv/put", key=_text(name), value=_text(value))
    (found,) = (await storage.list(List(SPACE, "", 10))).keys
    entry = await storage.get(Get(SPACE, "theme"))
    assert entry is not None
    assert (entry.value, entry.is_json, entry.version) == (b'{"dark":true}', True, "by-hand-1")
    assert (entry.expires_at, entry.metadata) == (1_800_000_000.5, b'{"a":"b c"}')
    assert (found.expires_at, found.metadata) == (entry.expires_at, entry.metadata)


# Costs and limits


async def test_reads_and_writes_are_one_round_trip_each(
    member: RunningMember, prefix: str, clock: MovedClock
) -> None:
    both: list[Operation] = [put("a"), put("b"), Get(SPACE, "a"), Get(SPACE, "b")]
    with Relay(member.port) as relay:
        url = relay.in_front(f"{member.url}/{prefix}?connections=1")
        async with opened(url, clock) as storage:
            version = await storage.set(put("known"))
            known = Precondition((version,))
            acts: list[tuple[Callable[[], Awaitable[Any]], int]] = [
                (lambda: storage.get(Get(SPACE, "a")), 1),
                (lambda: storage.set(put("a")), 1),
                (lambda: storage.set(put("new", precondition=MUST_NOT_EXIST)), 1),
                (lambda: storage.set(put("a", precondition=MUST_EXIST)), 1),
                (lambda: storage.set(put("a", expires_at=clock() + 1)), 1),
                (lambda: storage.delete(Delete(SPACE, "known", known)), 1),
                (lambda: storage.delete(Delete(SPACE, "c")), 1),
                (lambda: storage.batch(Batch(both)), 2),
                (lambda: storage.batch(Batch(both, atomic=True)), 2),
                (lambda: storage.list(List(SPACE, "", 10)), 1),
                (storage.check, 1),
            ]
            for number, (act, trips) in enumerate(acts):
                before = relay.round_trips
                await act()
                assert (number, relay.round_trips - before) == (number, trips)


async def test_operations_that_arrive_together_share_round_trips(
    member: RunningMember, prefix: str
) -> None:
    with Relay(member.port) as relay:
        async with opened(relay.in_front(f"{member.url}/{prefix}")) as storage:
            await storage.set(put("k0"))
            before = relay.round_trips
            versions = await asyncio.gather(*(storage.set(put(f"k{i}")) for i in range(100)))
            entries = await asyncio.gather(*(storage.get(Get(SPACE, f"k{i}")) for i in range(100)))
            assert relay.round_trips - before < 20
        assert [entry and entry.version for entry in entries] == versions


async def test_a_value_that_etcd_cannot_keep_is_refused_and_the_limit_named(
    member: RunningMember, prefix: str
) -> None:
    storage = EtcdStorage(f"{member.url}/{prefix}?request_bytes=100000")
    async with make_server(storage) as server:
        call = Caller(server)
        fits, not_fits = 100_000 - 65_536 - 2, 100_000 - 65_536 - 1
        assert (await call("PUT", "/v1/kv/a", json={"value": "x" * fits})).status_code == 200
        answer = await call("PUT", "/v1/kv/a", json={"value": "x" * not_fits})
        assert answer.status_code == 413
        assert answer.json()["error"] == ("The value has 34,465 bytes; etcd accepts at most 34,464")
        half = {"op": "set", "value": "x" * (fits // 2 + 10)}
        operations = [half | {"key": "b"}, half | {"key": "c"}]
        for atomic, status in ((True, 413), (False, 200)):
            body = {"operations": operations, "atomic": atomic}
            assert (await call("POST", "/v1/kv", json=body)).status_code == status


async def test_a_request_that_etcd_refuses_for_its_size_is_too_large(
    member: RunningMember, prefix: str
) -> None:
    async with opened(f"{member.url}/{prefix}?request_bytes=3000000") as storage:
        with pytest.raises(ValueTooLarge, match="--max-request-bytes"):
            await storage.set(put("a", b"x" * 1_600_000))


async def test_a_write_that_etcd_refuses_leaves_the_others_of_its_batch(
    member: RunningMember, prefix: str
) -> None:
    async with opened(f"{member.url}/{prefix}?request_bytes=3000000") as storage:
        large = b"x" * 1_600_000
        writes = [put("a", b"1"), put("b"), put("a", large), put("c"), put("d"), put("b", large)]
        results = await storage.batch(Batch([*writes, Get(SPACE, "a"), put("e")]))
        assert [type(one) for one in results] == [
            *(str, str, ValueTooLarge, str, str, ValueTooLarge, Entry, str)
        ]
        outcomes = await asyncio.gather(*map(storage.set, writes[:4]), return_exceptions=True)
        assert [type(one) for one in outcomes] == [str, str, ValueTooLarge, str]


async def test_an_atomic_batch_has_at_most_the_operations_of_a_transaction(
    storage: EtcdStorage, clock: MovedClock
) -> None:
    fits = [put(f"k{i}") for i in range(127)]
    await storage.batch(Batch(fits, atomic=True))
    for too_many in (
        [put(f"k{i}") for i in range(128)],
        [Get(SPACE, f"k{i}") for i in range(129)],
        [put(f"k{i}", expires_at=clock() + 5) for i in range(64)],
    ):
        with pytest.raises(StorageUnsupported, match=r"129 operations .* allows 128"):
            await storage.batch(Batch(too_many, atomic=True))
    assert len((await storage.list(List(SPACE, "", 1000))).keys) == 127
    await storage.batch(Batch([put(f"k{i}", b"2") for i in range(500)]))
    assert len((await storage.list(List(SPACE, "", 1000))).keys) == 500


@pytest.mark.deep
async def test_a_batch_reads_little_more_than_it_may_return(storage: EtcdStorage) -> None:
    await storage.set(put("big", b"x" * 1_000_000))
    gets: list[Operation] = [Get(SPACE, "big") for _ in range(200)]
    results = await storage.batch(Batch([*gets, put("b")], read_bytes=40_000_000))
    kinds = [type(one).__name__ for one in results]
    assert kinds == ["Entry"] * 40 + ["ValueTooLarge"] * 160 + ["str"]


@pytest.mark.deep
async def test_large_values_are_listed_in_small_reads(storage: EtcdStorage) -> None:
    for i in range(40):
        await storage.set(put(f"{i:02}", b"x" * 1_000_000))
    for is_reverse in (False, True):
        listed: list[str] = []
        cursor = None
        while True:
            page = await storage.list(List(SPACE, "", 1000, cursor, is_reverse=is_reverse))
            assert page.keys
            listed += [one.key for one in page.keys]
            cursor = page.cursor
            if cursor is None:
                break
        assert listed == sorted((f"{i:02}" for i in range(40)), reverse=is_reverse)


# Lifetimes


async def test_an_expiry_that_a_set_replaces_is_removed_with_the_next_sweep(
    storage: EtcdStorage, member: RunningMember, prefix: str, clock: MovedClock
) -> None:
    for i in range(5):
        await storage.set(put("session", expires_at=clock() + 1000 + i))
        await storage.touch(Touch(namespace=SPACE, key="session", expires_at=clock() + 2000 + i))
        await storage.set(put("other", expires_at=clock() + 1000 + i))
    await storage.sweep(200)
    left = [key for key in keys_in(member, prefix) if not key.startswith((b"entry", b"change"))]
    assert left == [
        b"expiring/%022.9f/default/other" % (clock() + 1004),
        b"expiring/%022.9f/default/session" % (clock() + 2004),
    ]


async def test_nothing_is_left_of_an_entry_that_was_swept(
    storage: EtcdStorage, member: RunningMember, prefix: str, clock: MovedClock
) -> None:
    for i in range(30):
        await storage.set(put(f"k{i}", expires_at=clock() + 1))
    await storage.set(put("k0"))
    clock.move(1 + SWEEP_MARGIN_SECONDS)
    await cursor_of_now(storage)
    assert [await storage.sweep(20), await storage.sweep(20), await storage.sweep(20)] == [20, 9, 0]
    left = [key for key in keys_in(member, prefix) if not key.startswith(b"change")]
    assert left == [b"entry/default/k0"]


# Changes


async def test_a_reader_resumes_within_a_transaction(storage: EtcdStorage) -> None:
    begin = await cursor_of_now(storage)
    operations: list[Operation] = [put(f"k{i % 7}") for i in range(20)]
    await storage.batch(Batch(operations, atomic=True))
    await asyncio.gather(*(storage.set(put(f"n{i}")) for i in range(20)))
    whole = seen(await changes_since(storage, begin))
    assert len(whole) == 40
    assert seen(await changes_since(storage, begin, limit=9)) == whole
    page = await storage.changes(ReadChanges(begin, 30))
    for index, cursor in enumerate(page.cursors[19:21], 20):
        assert seen(await changes_since(storage, cursor)) == whole[index:]


async def test_a_deletion_has_the_version_of_the_entry_as_long_as_history_has_it(
    storage: EtcdStorage, member: RunningMember
) -> None:
    begin = await cursor_of_now(storage)
    keys = [f"k{i}" for i in range(5)]
    versions = [await storage.set(put(key)) for key in keys]
    await storage.delete(Delete(SPACE, "k0"))
    await storage.delete(Delete(SPACE, "k1", Precondition((versions[1],))))
    before = await cursor_of_now(storage)
    await storage.delete_prefix(DeletePrefix(SPACE, "k", 10))
    expected = [(Event.DELETE, key, old) for key, old in zip(keys, versions, strict=True)]
    assert seen(await changes_since(storage, begin))[5:] == expected
    member.ask("kv/compaction", revision=await _revision(member))
    last = [(event, key, None) for event, key, _ in expected[2:]]
    assert seen(await changes_since(storage, before)) == last


async def test_a_compaction_takes_only_the_cursors_that_miss_a_change(
    storage: EtcdStorage, member: RunningMember, prefix: str
) -> None:
    begin = await cursor_of_now(storage)
    await storage.set(put("a"))
    await storage.set(put("b"))
    idle = await cursor_of_now(storage)
    for _ in range(3):  # other programs write too
        member.ask("kv/put", key=_text(f"{prefix}-other".encode()), value="")
    member.ask("kv/compaction", revision=await _revision(member))
    with pytest.raises(CursorGone):
        await storage.changes(ReadChanges(begin))
    versions = [await storage.set(put("a")) for _ in range(2)]
    expected = [(Event.SET, "a", version) for version in versions]
    assert seen(await changes_since(storage, idle)) == expected


async def test_history_is_compacted_once_no_reader_may_need_it(
    member: RunningMember, prefix: str, clock: MovedClock
) -> None:
    async with opened(f"{member.url}/{prefix}", clock) as storage:
        storage.retention = Retention(100, 1000)
        begin = await cursor_of_now(storage)
        await storage.set(put("a"))
        first = await _revision(member)
        for seconds in (0, 50, 49):
            clock.move(seconds)
            await storage.sweep(10)
            assert "kvs" in member.ask("kv/range", **_entry(prefix), revision=first)
        assert len(await changes_since(storage, begin)) == 1
        await storage.set(put("a"))
        clock.move(2)
        await storage.sweep(10)
        clock.move(10)
        await storage.sweep(10)
        old = member.ask("kv/range", **_entry(prefix), revision=first - 1)
        assert "compacted" in old["error"]
        assert await storage.get(Get(SPACE, "a")) is not None


async def _revision(member: RunningMember) -> int:
    return int(member.ask("kv/range", key="YQ==")["header"]["revision"])


def _entry(prefix: str) -> dict[str, str]:
    return {"key": _text(f"{prefix}/entry/default/a".encode())}


async def test_its_clock_is_compared_with_that_of_etcd(member: RunningMember, prefix: str) -> None:
    async with opened(f"{member.url}/{prefix}") as storage:
        assert await storage.warnings() == []
    async with opened(f"{member.url}/{prefix}", MovedClock()) as storage:
        (warning,) = await storage.warnings()
        assert "ahead of that of etcd" in warning
