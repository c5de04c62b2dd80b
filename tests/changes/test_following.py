"""Test how the feed gives all changes to a follower, and reads them only once for everybody."""

import asyncio
from collections.abc import Sequence

import pytest

from served_socket import until
from workertown_kv.changes import Feed, Interest, Published, feed
from workertown_kv.errors import CursorGone, InputError, StorageUnavailable, StorageUnsupported
from workertown_kv.operations import Change, ChangePage, ReadChanges, Set
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio


class Counting(MemoryStorage):
    """Counts the reads of changes at the same time, and fails when a test wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.at_once = 0
        self.most_at_once = 0
        self.error: Exception | None = None
        self.since: list[str | None] = []

    async def changes(self, operation: ReadChanges) -> ChangePage:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.since.append(operation.since)
        try:
            if self.error is not None:
                raise self.error
            return await super().changes(operation)
        finally:
            self.at_once -= 1

    async def write(self, key: str) -> None:
        await self.set(Set(namespace="default", key=key, value=b"1"))


class Noting:
    """Notes what a feed tells: as a follower, and as a subscriber."""

    interest = Interest(None, ("",))
    wants_values = False

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.keys: list[str] = []
        self.pushed: list[str] = []
        self.ages: list[float | None] = []

    def begin_following(self) -> None:
        self.begun += 1

    def follow(self, changes: Sequence[Change], age: float | None) -> None:
        self.keys += [change.key for change in changes]
        self.ages.append(age)

    def end_following(self) -> None:
        self.ended += 1

    def push(self, published: Published) -> None:
        self.pushed.append(published.change.key)

    def reset(self) -> None:
        pass


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Counting:
    monkeypatch.setattr(feed, "_RETRY_SECONDS", 0.01)
    return Counting()


async def test_a_follower_and_subscribers_share_one_reader(storage: Counting) -> None:
    noting, feed = Noting(), Feed(storage)
    following = asyncio.create_task(feed.follow(noting))
    await until(lambda: noting.begun == 1)
    await feed.join(noting)
    await storage.write("a")
    await until(lambda: noting.pushed == ["a"])
    assert noting.keys == ["a"]
    feed.leave(noting)
    await storage.write("b")
    await until(lambda: noting.keys == ["a", "b"])
    assert (noting.pushed, storage.most_at_once) == (["a"], 1)
    following.cancel()
    await until(lambda: noting.ended == 1)
    await until(lambda: storage.at_once == 0)
    assert noting.begun == 1


async def test_the_reader_stays_for_subscribers_when_the_follower_ends(storage: Counting) -> None:
    noting, feed = Noting(), Feed(storage)
    following = asyncio.create_task(feed.follow(noting))
    await until(lambda: noting.begun == 1)
    await feed.join(noting)
    following.cancel()
    await until(lambda: noting.ended == 1)
    await storage.write("a")
    await until(lambda: noting.pushed == ["a"])
    assert noting.keys == []
    feed.leave(noting)
    await until(lambda: storage.at_once == 0)


async def test_a_follower_learns_that_the_feed_is_up_though_nothing_changes(
    storage: Counting,
) -> None:
    noting, feed = Noting(), Feed(storage)
    feed.wait_seconds = 0.001
    following = asyncio.create_task(feed.follow(noting))
    await until(lambda: len(noting.ages) >= 3)
    assert noting.keys == []
    assert all(age is not None and age >= 0.001 for age in noting.ages)
    following.cancel()


async def test_a_follower_learns_that_more_changes_wait(
    storage: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAGE_CHANGES", 2)
    noting = Noting()
    following = asyncio.create_task(Feed(storage).follow(noting))
    await until(lambda: noting.begun == 1)
    for i in range(3):
        await storage.set(Set(namespace="default", key=str(i), value=b"1"))
    await until(lambda: len(noting.keys) == 3)
    assert noting.ages[0] is None
    assert noting.ages[1] is not None
    following.cancel()


@pytest.mark.parametrize("error", [StorageUnavailable("It is cut off"), ZeroDivisionError()])
async def test_a_feed_that_failed_goes_on_where_it_was(storage: Counting, error: Exception) -> None:
    noting, feed = Noting(), Feed(storage)
    feed.wait_seconds = 0.001
    following = asyncio.create_task(feed.follow(noting))
    await until(lambda: len(noting.ages) == 1)
    storage.error = error
    reads = len(storage.since)
    await until(lambda: len(storage.since) >= reads + 3)
    await storage.write("a")
    assert noting.keys == []
    storage.error = None
    await until(lambda: noting.keys == ["a"])
    assert (noting.begun, noting.ended) == (1, 0)
    following.cancel()


@pytest.mark.parametrize(
    "error", [CursorGone(), InputError("No cursor"), StorageUnsupported("Old")]
)
async def test_following_ends_when_changes_were_missed(storage: Counting, error: Exception) -> None:
    noting, feed = Noting(), Feed(storage)
    feed.wait_seconds = 0.001
    following = asyncio.create_task(feed.follow(noting))
    await until(lambda: len(noting.ages) == 1)
    storage.error = error
    await following
    assert (noting.begun, noting.ended, storage.at_once) == (1, 1, 0)


def test_a_follower_on_another_event_loop_gets_all_changes(storage: Counting) -> None:
    feed = Feed(storage)

    async def follow() -> None:
        noting = Noting()
        following = asyncio.create_task(feed.follow(noting))
        await until(lambda: noting.begun == 1)
        await storage.write("a")
        await until(lambda: noting.keys == ["a"])
        following.cancel()

    for _ in range(2):
        asyncio.run(follow())


async def test_changes_made_while_the_feed_starts_are_delivered_before_it_is_synced() -> None:
    class Slow(Counting):
        began = asyncio.Event()
        goes_on = asyncio.Event()

        async def changes(self, operation: ReadChanges) -> ChangePage:
            page = await super().changes(operation)
            if operation.since is None:
                self.began.set()
                await self.goes_on.wait()
            for _ in range(10):
                await asyncio.sleep(0)  # a database takes its time
            return page

    storage = Slow()
    first, late, feed = Noting(), Noting(), Feed(storage)
    joining = asyncio.create_task(feed.join(first))
    await storage.began.wait()
    await storage.write("a")

    async def join_late() -> None:
        await feed.synced()
        await feed.join(late)

    joining_late = asyncio.create_task(join_late())
    await asyncio.sleep(0)
    storage.goes_on.set()
    await asyncio.gather(joining, joining_late)
    await storage.write("b")
    await until(lambda: "b" in first.pushed and "b" in late.pushed)
    assert first.pushed == ["a", "b"]
    assert late.pushed == ["b"]
    feed.leave(first)
    feed.leave(late)


async def test_a_subscriber_gets_changes_if_the_last_one_leaves_while_it_joins(
    storage: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, late, feed = Noting(), Noting(), Feed(storage)
    delivering = asyncio.Event()

    async def deliver_for_ever(page: ChangePage) -> None:
        delivering.set()
        await asyncio.Event().wait()

    await feed.join(first)
    with monkeypatch.context() as patching:
        patching.setattr(feed, "_deliver", deliver_for_ever)
        await storage.write("a")
        await delivering.wait()
        joining = asyncio.create_task(feed.join(late))
        await asyncio.sleep(0)
    feed.leave(first)
    await joining
    await storage.write("b")
    await until(lambda: "b" in late.pushed)
    feed.leave(late)
