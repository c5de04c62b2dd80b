"""Read the changes of a storage once for all watchers of this process, while there are some."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from time import perf_counter
from typing import Final, Protocol

from ..errors import CursorGone, InputError, StorageError, StorageUnsupported
from ..failure_log import FailureLog
from ..operations import Change, ChangePage, Event, ReadChanges
from ..storage import Storage
from ..storage.change_log import Waiting
from ..storage.tasks import leave_task
from .interest import is_reserved
from .published import Published, published_changes, with_cursors
from .subscribers import Subscriber, Subscribers
from .values import VALUES_AT_ONCE, load_values

PAGE_CHANGES: Final = 1000
"""The most changes of a page that the feed reads."""

WAIT_SECONDS: Final = 30.0
"""How long a read of the feed waits for a change."""

TURN_SECONDS: Final = 0.005
"""How long the feed may deliver changes before it lets requests run."""

_RETRY_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.005
"""The shortest pause between two pages, in which changes that come together gather."""
_DELIVERED_AT_ONCE: Final = 4 * VALUES_AT_ONCE
"""How many changes of a page have their values in memory at the same time."""
_LOOK_SECONDS: Final = 0.05


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
        self._subscribers = Subscribers()
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
        self._subscribers.add(subscriber)
        return cursor

    async def position(self) -> str:
        """Return the position of all subscribers, once no page is being delivered."""
        while self._is_publishing:
            await self._boundary.wait(_LOOK_SECONDS)
        return self._cursor

    def leave(self, subscriber: Subscriber) -> None:
        """Deliver nothing more."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
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
            yield published_changes(page, subscriber.interest), page.cursor
            since, complete = page.cursor, page.complete

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
        changes = [one for one in with_cursors(page) if not is_reserved(one[0].namespace)]
        for start in range(0, len(changes), _DELIVERED_AT_ONCE):
            await self._deliver_some(changes[start : start + _DELIVERED_AT_ONCE])

    async def _deliver_some(self, changes: Sequence[tuple[Change, str | None]]) -> None:
        published = [Published(change, cursor) for change, cursor in changes]
        watching = [self._subscribers.watching(one.change) for one in published]
        await load_values(
            self.storage,
            [
                one
                for one, subscribers in zip(published, watching, strict=True)
                if any(subscriber.wants_values for subscriber in subscribers)
            ],
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

    def _end(self) -> None:
        """Tell all subscribers that changes were missed."""
        for subscriber in self._subscribers:
            self.leave(subscriber)
            subscriber.reset()
