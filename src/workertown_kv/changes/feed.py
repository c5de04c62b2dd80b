"""Read the changes of a storage once for all watchers of this process, while there are some."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from time import perf_counter
from typing import Final, Protocol

import msgspec

from ..entry import Entry
from ..errors import CursorGone, InputError, StorageError, StorageUnsupported, ValueTooLarge
from ..failure_log import FailureLog
from ..operations import Batch, Change, ChangePage, Event, Get, ReadChanges
from ..storage import Storage
from ..storage.change_log import Waiting
from ..storage.tasks import leave_task
from .interest import Interest, is_reserved

PAGE_CHANGES: Final = 1000
"""The most changes of a page that the feed reads."""

WAIT_SECONDS: Final = 30.0
"""How long a read of the feed waits for a change."""

TURN_SECONDS: Final = 0.005
"""How long the feed may deliver changes before it lets requests run."""

VALUE_BYTES: Final = 64 * 1024
"""The largest value that is delivered with a change."""

_RETRY_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.005
"""The shortest pause between two pages, in which changes that come together gather."""
VALUES_AT_ONCE: Final = 16
"""How many values are read at once for watchers who want values: at most 1 MiB."""
_DELIVERED_AT_ONCE: Final = 4 * VALUES_AT_ONCE
"""How many changes of a page have their values in memory at the same time."""
_LOOK_SECONDS: Final = 0.05

Identity = tuple[Event, str, str, str | None, float | None]


class Published(msgspec.Struct, eq=False):
    """A change on its way to watchers, who share the texts that are made of it."""

    change: Change
    cursor: str | None
    """The position after the change, if it is known."""
    value: bytes | None = None
    """The value, while it has the version of the change and a watcher wants it."""
    is_json: bool = True
    value_bytes: int | None = None
    """The size of a value that is too large to be delivered."""
    texts: dict[object, bytes] = msgspec.field(default_factory=dict)
    """Texts of the change, by their kinds."""

    def take(self, entry: Entry) -> None:
        """Take the value of the entry, if it is small enough."""
        if len(entry.value) <= VALUE_BYTES:
            self.value, self.is_json = entry.value, entry.is_json
        else:
            self.value_bytes = len(entry.value)

    @property
    def identity(self) -> Identity:
        """Return what distinguishes the change from others."""
        change = self.change
        return change.event, change.namespace, change.key, change.version, change.expires_at


class Subscriber(Protocol):
    """Receives changes, and never waits."""

    interest: Interest
    wants_values: bool

    def push(self, published: Published) -> None:
        """Receive a change."""

    def reset(self) -> None:
        """Learn that changes were missed. Nothing more is delivered."""


class Follower(Protocol):
    """Receives all changes, before they are delivered to subscribers. Never waits."""

    def begin_following(self) -> None:
        """Learn that all changes from now on will come."""

    def follow(self, changes: Sequence[Change], age: float | None) -> None:
        """Receive changes.

        With them, the follower has all changes until so many seconds ago. `None` if more changes
        wait to be read.
        """

    def end_following(self) -> None:
        """Learn that changes may be missed until `begin_following`."""


class _Prefixes:
    """Finds the subscribers of one namespace, or of all, by the prefixes of a key."""

    def __init__(self) -> None:
        self._by_prefix: dict[str, dict[Subscriber, None]] = {}
        self._lengths: Sequence[int] = ()

    def add(self, subscriber: Subscriber) -> None:
        for prefix in subscriber.interest.prefixes:
            self._by_prefix.setdefault(prefix, {})[subscriber] = None
        self._note_lengths()

    def discard(self, subscriber: Subscriber) -> None:
        for prefix in subscriber.interest.prefixes:
            found = self._by_prefix.get(prefix, {})
            found.pop(subscriber, None)
            if not found:
                self._by_prefix.pop(prefix, None)
        self._note_lengths()

    def watching(self, change: Change) -> Iterator[Subscriber]:
        """Return the subscribers that see a change. A change of their set may end it."""
        if change.event is Event.DELETE_PREFIX:
            for subscribers in list(self._by_prefix.values()):
                yield from list(subscribers)
            return
        for length in self._lengths:
            if length > len(change.key):
                return
            found = self._by_prefix.get(change.key[:length])
            if found is not None:
                yield from list(found)

    def _note_lengths(self) -> None:
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix})


class Feed:
    """Delivers the changes of a storage to subscribers, each by its interest, and to a follower.

    A task reads the storage while there are subscribers or a follower, and at no other time. It
    belongs to the event loop of the first of them.
    """

    def __init__(
        self, storage: Storage, failed: Callable[[StorageError], None] = lambda _: None
    ) -> None:
        self.storage = storage
        self.wait_seconds = WAIT_SECONDS
        """How long a read waits for a change, before the follower learns that there is none."""
        self._failed = failed
        self._log = FailureLog()
        self._follower: Follower | None = None
        self._by_namespace: dict[str | None, _Prefixes] = {}
        self._subscribers: dict[Subscriber, None] = {}
        self._reading: asyncio.Task[None] | None = None
        self._cursor = ""
        self._is_publishing = False
        self._boundary = Waiting()
        """Woken after each page."""
        self._completed_from = 0.0
        """When the read of the last page began after which there were no more changes."""
        self._starting = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._subscribers)

    async def join(self, subscriber: Subscriber) -> str:
        """Deliver all changes after a position, which this returns."""
        reading, cursor = None, ""
        while reading is None or self._reading is not reading:
            # The last subscriber may leave, and end the task, while a page is being delivered.
            reading = await self._started()
            cursor = await self.position()
        self._subscribers[subscriber] = None
        name = subscriber.interest.namespace
        self._by_namespace.setdefault(name, _Prefixes()).add(subscriber)
        return cursor

    async def position(self) -> str:
        """Return the position of all subscribers, once no page is being delivered."""
        while self._is_publishing:
            await self._boundary.wait(_LOOK_SECONDS)
        return self._cursor

    def leave(self, subscriber: Subscriber) -> None:
        """Deliver nothing more."""
        if self._subscribers.pop(subscriber, self) is self:
            return
        name = subscriber.interest.namespace
        self._by_namespace[name].discard(subscriber)
        if not self._subscribers:
            self._by_namespace.clear()
            self._stop_if_unused()

    async def follow(self, follower: Follower) -> None:
        """Give all changes from now on to a follower, until changes were missed.

        The feed has one follower at a time. Raises the errors of the storage.
        """
        reading = await self._started()
        self._follower = follower
        # Changes that were read before were made before.
        follower.begin_following()
        try:
            await asyncio.wait([reading])
        finally:
            follower.end_following()
            self._follower = None
            self._stop_if_unused()

    async def synced(self) -> None:
        """Wait until all changes that were made before are delivered to the subscribers."""
        began = perf_counter()
        async with self._starting:
            pass  # a feed that is starting may begin at a position before these changes
        while self._reading is not None and self._completed_from < began:
            if not self._is_publishing:
                cursor = self._cursor
                page = await self.storage.changes(ReadChanges(cursor, 1))
                if page.complete and not page.changes and self._is_at(cursor):
                    return
            await self._boundary.wait(_LOOK_SECONDS)

    @property
    def cursor(self) -> str | None:
        """The position of all subscribers, unless a page is being delivered."""
        return None if self._is_publishing else self._cursor

    async def published(
        self, since: str, subscriber: Subscriber
    ) -> AsyncIterator[tuple[Sequence[Published], str]]:
        """Read the changes after a cursor up to now for one subscriber, in pages without values.

        Yields what the subscriber sees of each page, and the position after the page.
        """
        complete = False
        while not complete:
            page = await self.storage.changes(ReadChanges(since, PAGE_CHANGES))
            seen = [
                Published(part, cursor)
                for change, cursor in _with_cursors(page)
                for part in subscriber.interest.parts(change)
            ]
            yield seen, page.cursor
            since, complete = page.cursor, page.complete

    async def load_values(
        self, published: Sequence[Published], loaded: Callable[[int], None] = lambda _: None
    ) -> None:
        """Read the values that still have the version of their change.

        Calls `loaded` again and again, with the size of the values that were read meanwhile.
        """
        wanted = [one for one in published if one.change.event in (Event.SET, Event.TOUCH)]
        for start in range(0, len(wanted), VALUES_AT_ONCE):
            some = wanted[start : start + VALUES_AT_ONCE]
            gets = [Get(one.change.namespace, one.change.key) for one in some]
            batch = Batch(gets, read_bytes=VALUES_AT_ONCE * VALUE_BYTES)
            for one, found in zip(some, await self.storage.batch(batch), strict=True):
                change, entry = one.change, found
                if isinstance(entry, ValueTooLarge):
                    entry = await self.storage.get(Get(change.namespace, change.key))
                if isinstance(entry, Entry) and entry.version == change.version:
                    one.take(entry)
            loaded(sum(len(one.value or b"") for one in some))

    def _is_at(self, cursor: str) -> bool:
        return not self._is_publishing and self._cursor == cursor

    async def _started(self) -> asyncio.Task[None]:
        """Return the task that reads the storage; start it if it does not run on this loop."""
        async with self._starting:
            reading = self._reading
            loop = asyncio.get_running_loop()
            if reading is None or reading.done() or reading.get_loop() is not loop:
                self._cursor = (await self.storage.changes(ReadChanges(None))).cursor
                self._is_publishing = False
                reading = self._reading = asyncio.create_task(self._read())
        return reading

    def _stop_if_unused(self) -> None:
        if self._subscribers or self._follower is not None:
            return
        reading, self._reading = self._reading, None
        if reading is not None:
            leave_task(reading)
        self._is_publishing = False
        self._boundary.wake()

    async def _read(self) -> None:
        while True:
            began = perf_counter()
            try:
                page = await self.storage.changes(
                    ReadChanges(self._cursor, PAGE_CHANGES, self.wait_seconds)
                )
                self._is_publishing = True
                delivered_from = perf_counter()
                if self._follower is not None:
                    age = delivered_from - began if page.complete else None
                    self._follower.follow(page.changes, age)
                await self._deliver(page)
            except (CursorGone, InputError, StorageUnsupported):
                self._end()
                return
            except Exception as error:  # noqa: BLE001  (the next read may succeed)
                self._note(error)
                self._is_publishing = False
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._log.recovered("Changes can be read again")
            self._cursor = page.cursor
            self._is_publishing = False
            if page.complete:
                self._completed_from = began
            self._boundary.wake()
            # Requests get at least half of the time, and changes that come together gather.
            await asyncio.sleep(max(_PAUSE_SECONDS, perf_counter() - delivered_from))

    def _note(self, error: Exception) -> None:
        if isinstance(error, StorageError):
            self._failed(error)
        else:
            kind = type(error).__name__
            self._log.failed(kind, f"Reading changes failed: {error}", traceback_of=error)

    async def _deliver(self, page: ChangePage) -> None:
        changes = [one for one in _with_cursors(page) if not is_reserved(one[0].namespace)]
        for start in range(0, len(changes), _DELIVERED_AT_ONCE):
            await self._deliver_some(changes[start : start + _DELIVERED_AT_ONCE])

    async def _deliver_some(self, changes: Sequence[tuple[Change, str | None]]) -> None:
        published = [Published(change, cursor) for change, cursor in changes]
        watching = [list(self._watching(one.change)) for one in published]
        await self.load_values(
            [
                one
                for one, subscribers in zip(published, watching, strict=True)
                if any(subscriber.wants_values for subscriber in subscribers)
            ]
        )
        turn = perf_counter()
        for one, subscribers in zip(published, watching, strict=True):
            for subscriber in subscribers:
                if subscriber not in self._subscribers:
                    continue
                if one.change.event is Event.DELETE_PREFIX:
                    for part in subscriber.interest.parts(one.change):
                        subscriber.push(Published(part, one.cursor))
                else:
                    subscriber.push(one)
                if perf_counter() - turn > TURN_SECONDS:
                    await asyncio.sleep(0)
                    turn = perf_counter()

    def _watching(self, change: Change) -> Iterator[Subscriber]:
        for name in (change.namespace, None):
            prefixes = self._by_namespace.get(name)
            if prefixes is not None:
                yield from prefixes.watching(change)

    def _end(self) -> None:
        """Tell all subscribers that changes were missed."""
        for subscriber in list(self._subscribers):
            self.leave(subscriber)
            subscriber.reset()


class Overlap:
    """Finds the changes that a subscriber has got already, while it catches up."""

    def __init__(self) -> None:
        self._seen: Counter[Identity] = Counter()

    def note(self, published: Sequence[Published]) -> None:
        """Note changes that the subscriber has got."""
        self._seen.update(one.identity for one in published)

    def has(self, published: Published) -> bool:
        """Return whether the subscriber has got a change, which comes again only once."""
        found = self._seen[published.identity] > 0
        if found:
            self._seen[published.identity] -= 1
        return found


def _with_cursors(page: ChangePage) -> Iterator[tuple[Change, str | None]]:
    """Return each change with the position after it, which only the last change may have."""
    last = len(page.changes) - 1
    for index, change in enumerate(page.changes):
        if page.cursors:
            yield change, page.cursors[index]
        else:
            yield change, page.cursor if index == last else None
