"""Test a read cache that follows the changes of its storage."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workertown_kv.entry import Entry
from workertown_kv.operations import (
    Delete,
    DeletePrefix,
    Get,
    ReadChanges,
    Set,
    Touch,
)
from workertown_kv.options import CacheOptions
from workertown_kv.storage import CachedStorage
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.wrappers.cached import FOLLOWED_SECONDS, GAP_SECONDS
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio

TTL = 60


class Far(MemoryStorage):
    """Counts the reads. While there is a gate, reads see the entries and answer after it opens."""

    def __init__(self) -> None:
        super().__init__(clock=MovedClock())
        self.reads = 0
        self.gate: asyncio.Event | None = None

    async def get(self, operation: Get) -> Entry | None:
        self.reads += 1
        gate = self.gate
        entry = await super().get(operation)
        if gate is not None:
            await gate.wait()
        return entry


class Followed:
    """A cache in front of a storage to which others write, and the feed of its changes."""

    def __init__(self, ttl: int = TTL) -> None:
        self.far = Far()
        self.clock = MovedClock()
        options = CacheOptions(ttl=ttl, follow=True)
        self.near = CachedStorage(self.far, options, stopwatch=self.clock)
        self.cursor = ""

    async def begin(self) -> None:
        self.cursor = (await self.far.changes(ReadChanges(None))).cursor
        self.near.begin_following()
        self.near.follow((), 0)

    async def deliver(self, limit: int = 1000) -> bool:
        """Deliver changes. Return whether none is left."""
        page = await self.far.changes(ReadChanges(self.cursor, limit))
        self.cursor = page.cursor
        self.near.follow(page.changes, 0 if page.complete else None)
        return page.complete

    async def write(self, key: str, value: bytes) -> None:
        await self.far.set(Set(namespace="default", key=key, value=value))

    async def entries(self) -> Mapping[str, Entry | None]:
        """Return the entries that are stored now."""
        return {key: await MemoryStorage.get(self.far, Get("default", key)) for key in KEYS}

    async def value(self, key: str = "a") -> bytes | None:
        entry = await self.near.get(Get("default", key))
        return None if entry is None else entry.value

    async def slow_read(self, key: str = "a") -> tuple[asyncio.Task[bytes | None], asyncio.Event]:
        """Begin a read that has seen the entry, and answers after the event is set."""
        gate = self.far.gate = asyncio.Event()
        reading = asyncio.create_task(self.value(key))
        for _ in range(3):
            await asyncio.sleep(0)
        self.far.gate = None
        return reading, gate


ACTS: dict[str, Callable[[Far], Awaitable[object]]] = {
    "set": lambda far: far.set(Set(namespace="default", key="a", value=b"2")),
    "touch": lambda far: far.touch(Touch(namespace="default", key="a", expires_at=far.clock() + 1)),
    "delete": lambda far: far.delete(Delete("default", "a")),
    "delete_prefix": lambda far: far.delete_prefix(DeletePrefix("default", "", 100)),
}


@pytest.mark.parametrize("act", ACTS)
async def test_a_change_by_another_drops_its_key_at_once(act: str) -> None:
    followed = Followed()
    await followed.write("a", b"1")
    await followed.begin()
    before = await followed.near.get(Get("default", "a"))
    await ACTS[act](followed.far)
    assert await followed.near.get(Get("default", "a")) == before
    await followed.deliver()
    after = await followed.near.get(Get("default", "a"))
    assert after != before
    assert after == await followed.far.get(Get("default", "a"))


async def test_a_new_key_appears_at_once() -> None:
    followed = Followed()
    await followed.begin()
    assert await followed.value() is None
    await followed.write("a", b"1")
    assert await followed.value() is None
    await followed.deliver()
    assert await followed.value() == b"1"


async def test_a_deletion_of_a_prefix_drops_what_is_below_it_in_its_namespace() -> None:
    followed = Followed()
    keys = [("default", "a/1"), ("default", "a/2"), ("default", "b"), ("other", "a/1")]
    await followed.begin()
    for space, key in keys:
        await followed.near.get(Get(space, key))
    await followed.far.set(Set(namespace="default", key="a/1", value=b"1"))
    await followed.far.delete_prefix(DeletePrefix("default", "a/", 100))
    await followed.deliver()
    followed.far.reads = 0
    for space, key in keys:
        await followed.near.get(Get(space, key))
    assert followed.far.reads in (1, 2)  # whether or not the deletion is a change of each key


async def test_a_change_that_overtakes_the_older_value_is_not_forgotten() -> None:
    followed = Followed()
    await followed.write("a", b"1")
    await followed.begin()
    reading, gate = await followed.slow_read()
    await followed.write("a", b"2")
    await followed.deliver()
    gate.set()
    assert await reading == b"1"
    assert await followed.value() == b"2"
    assert await followed.value() == b"2"
    assert followed.far.reads == 2


async def test_an_entry_is_kept_beyond_the_ttl_while_the_feed_is_up() -> None:
    followed = Followed()
    await followed.begin()
    await followed.value()
    while followed.clock() < MovedClock().now + FOLLOWED_SECONDS:
        assert await followed.value() is None
        assert followed.far.reads == 1
        followed.clock.move(GAP_SECONDS - 1)
        await followed.deliver()
    await followed.value()
    assert followed.far.reads == 2


@pytest.mark.parametrize(("ttl", "gap"), [(TTL, GAP_SECONDS), (2, 2.0)])
async def test_the_ttl_counts_again_after_a_silence_of_the_feed(ttl: int, gap: float) -> None:
    followed = Followed(ttl)
    await followed.begin()
    await followed.value("old")
    for _ in range(2 * ttl):
        followed.clock.move(1)
        await followed.deliver()
    await followed.value("new")
    followed.far.reads = 0
    followed.clock.move(gap - 0.25)
    await followed.value("old")
    assert followed.far.reads == 0
    followed.clock.move(0.25)
    await followed.value("old")
    assert followed.far.reads == 1
    await followed.value("new")
    assert followed.far.reads == (1 if gap < ttl else 2)


async def test_what_was_kept_is_used_again_when_the_feed_goes_on() -> None:
    followed = Followed()
    await followed.begin()
    await followed.value("kept")
    await followed.value("changed")
    followed.clock.move(TTL)
    await followed.write("changed", b"1")
    await followed.deliver()
    followed.far.reads = 0
    assert await followed.value("kept") is None
    assert followed.far.reads == 0
    assert await followed.value("changed") == b"1"


async def test_a_feed_that_is_behind_does_not_count_as_up() -> None:
    followed = Followed()
    await followed.begin()
    await followed.value()
    followed.clock.move(TTL)
    for i in range(3):
        await followed.write("b", b"%d" % i)
    assert not await followed.deliver(limit=1)
    await followed.value()
    assert followed.far.reads == 2


async def test_the_time_of_a_page_counts_from_the_beginning_of_its_read() -> None:
    followed = Followed()
    await followed.begin()
    await followed.value()
    followed.clock.move(TTL)
    followed.near.follow((), GAP_SECONDS)
    await followed.value()
    assert followed.far.reads == 2


async def test_nothing_from_before_a_missed_change_is_kept_when_the_feed_begins_again() -> None:
    followed = Followed()
    await followed.write("a", b"1")
    await followed.begin()
    assert await followed.value() == b"1"
    reading, gate = await followed.slow_read("b")
    followed.near.end_following()
    await followed.write("a", b"2")
    await followed.write("b", b"2")
    assert await followed.value() == b"1"
    await followed.begin()
    gate.set()
    assert await reading is None
    assert await followed.value() == b"2"
    assert await followed.value("b") == b"2"


async def test_a_cache_that_no_longer_follows_keeps_entries_for_the_ttl() -> None:
    followed = Followed()
    await followed.begin()
    await followed.value()
    followed.clock.move(TTL - 1)
    await followed.deliver()
    followed.near.end_following()
    await followed.value()
    assert followed.far.reads == 1
    followed.clock.move(1)
    await followed.value()
    assert followed.far.reads == 2


async def test_a_write_through_the_cache_is_read_once_though_its_change_follows() -> None:
    followed = Followed()
    await followed.begin()
    await followed.near.set(Set(namespace="default", key="a", value=b"1"))
    assert await followed.value() == b"1"
    await followed.deliver()
    assert await followed.value() == b"1"
    assert followed.far.reads == 1


WRITES: dict[str, Callable[[Followed, str, int], Awaitable[object]]] = {
    "set": lambda followed, key, i: followed.write(key, b"%d" % i),
    "own set": lambda followed, key, i: followed.near.set(
        Set(namespace="default", key=key, value=b"%d" % i)
    ),
    "delete": lambda followed, key, _: followed.far.delete(Delete("default", key)),
    "touch": lambda followed, key, i: followed.far.touch(
        Touch(namespace="default", key=key, expires_at=followed.far.clock() + 10_000 + i)
    ),
    "delete_prefix": lambda followed, prefix, _: followed.far.delete_prefix(
        DeletePrefix("default", prefix, 100)
    ),
}
KEYS = ("a", "a/1", "b")
_keys = st.sampled_from(KEYS)
_steps = st.one_of(
    st.tuples(st.sampled_from(["set", "delete", "touch", "own set"]), _keys),
    st.tuples(st.just("delete_prefix"), st.sampled_from(["", "a"])),
    st.tuples(st.sampled_from(["read", "slow read"]), _keys),
    st.tuples(st.sampled_from(["answer", "miss", "begin"]), st.just("")),
    st.tuples(st.just("deliver"), st.sampled_from(["1", "1000"])),
    st.tuples(st.just("move"), st.sampled_from(["1", "4", "30"])),
)


@given(st.lists(_steps, max_size=60))
def test_no_read_is_staler_than_the_ttl_nor_than_the_changes_delivered(
    steps: list[tuple[str, str]],
) -> None:
    asyncio.run(_check(steps))


async def _check(steps: list[tuple[str, str]]) -> None:
    followed = Followed()
    near, clock = followed.near, followed.clock
    await followed.begin()
    follows = True
    replaced: list[tuple[float, Mapping[str, Entry | None]]] = []
    """The entries before each step, and when they were replaced."""
    waiting: list[tuple[asyncio.Task[bytes | None], asyncio.Event]] = []
    for i, (step, text) in enumerate(steps):
        replaced.append((clock(), await followed.entries()))
        if step in WRITES:
            await WRITES[step](followed, text, i)
        elif step == "slow read":
            waiting.append(await followed.slow_read(text))
        elif step == "answer":
            await _finish(waiting)
        elif step == "miss":
            near.end_following()
            follows = False
        elif step == "begin":
            await followed.begin()
            follows = True
        elif step == "deliver" and follows:
            await followed.deliver(int(text))
        elif step == "move":
            clock.move(float(text))
        elif step == "read" and not waiting:
            found = await near.get(Get("default", text))
            allowed = [entries[text] for at, entries in replaced if clock() - at < TTL]
            assert found in allowed
    await _finish(waiting)
    if not follows:
        await followed.begin()
    while not await followed.deliver():
        pass
    for key, entry in (await followed.entries()).items():
        assert await near.get(Get("default", key)) == entry


async def _finish(waiting: list[tuple[asyncio.Task[bytes | None], asyncio.Event]]) -> None:
    """Let all reads answer. Those of the same key may share the answer of the first."""
    for _, gate in waiting:
        gate.set()
    for reading, _ in waiting:
        await reading
    waiting.clear()
