"""Stream changes as server-sent events."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from ....changes import VALUES_AT_ONCE, Feed, Interest, Overlap, Published, Sealer, load_values
from ....changes.sealing import Seal
from ....errors import CursorGone, KvError, Overloaded, StorageError
from ....http.exchange import AsgiExchange, HalfAnAnswer
from ....meters.catalogue import MOST_STREAMS, STREAMS
from ....meters.metric import Measurement
from ....operations import ReadChanges
from ....storage.wrappers.permitted import permitted
from .encoding import Form, change_event, event
from .initial import initial_pages
from .watch import Position, Watch

PENDING_BYTES: Final = 1024 * 1024
"""How much a client may leave unread before it is cut off."""
COMMENT_SECONDS: Final = 15.0
"""How long a stream may be silent, before a comment shows that it is alive."""
BOOKMARK_SECONDS: Final = 30.0
CHECK_SECONDS: Final = 5.0
"""How often the credentials of a stream are checked again."""
CATCHING_UP: Final = 8
"""How many streams may read a page of older changes at the same time."""

_TICK_SECONDS: Final = 1.0
_RETRY_MS: Final = (1000, 5000)
"""Clients of a server that has ended connect again at different times."""
_COMMENT: Final = b":\n\n"
_INITIAL_ENTRIES: Final = 500
_FIELDS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]

_RESET: Final = event("reset", id="")
_REVOKED: Final = event("revoked", id="")

_Position = TypeVar("_Position")

IsValid = Callable[[AsgiExchange], Awaitable[bool]]
"""Returns whether the credentials of a request are still good."""


class Streams:
    """The streams of a server."""

    def __init__(self, feed: Feed, sealer: Sealer, most: int, is_valid: IsValid) -> None:
        self.feed = feed
        self.sealer = sealer
        self._most = most
        self._is_valid = is_valid
        self._streams: set[Stream] = set()
        self._is_over = False
        self._ticking: asyncio.Task[None] | None = None
        self._catching_up = asyncio.Semaphore(CATCHING_UP)

    def __len__(self) -> int:
        return len(self._streams)

    def measurements(self) -> Iterator[Measurement]:
        """Return how many streams there are, and how many there may be."""
        yield Measurement(STREAMS, len(self._streams))
        yield Measurement(MOST_STREAMS, self._most)

    async def run(self, exchange: AsgiExchange, watch: Watch) -> None:
        """Stream to a client until it leaves, or the stream is ended. Raises `Overloaded`."""
        if len(self._streams) >= self._most:
            raise Overloaded("streams of changes")
        stream = Stream(exchange, watch, self.feed, await self.sealer.ready())
        self._streams.add(stream)
        if self._is_over:
            stream.finish()
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick_often())
        try:
            await stream.run(self._catching_up)
        finally:
            self._streams.discard(stream)
            self.feed.leave(stream)
            if not self._streams and self._ticking is not None:
                self._ticking.cancel()
                self._ticking = None

    def end(self, *, for_good: bool) -> None:
        """End all streams, so that their clients connect again; `for_good`, also later ones."""
        self._is_over = for_good
        for stream in list(self._streams):
            stream.finish()

    async def tick(self, now: float) -> None:
        """Show silent clients that their streams are alive, and end those without credentials."""
        cursor = self.feed.cursor
        bookmark = None
        for stream in self._streams:
            if stream.is_live and now >= stream.bookmark_at and cursor is not None:
                bookmark = bookmark or event("bookmark", id=stream.sealed(cursor))
                stream.bookmark_at = now + BOOKMARK_SECONDS
                stream.write(bookmark)
            elif now >= stream.written_at + COMMENT_SECONDS:
                stream.write(_COMMENT)
        due = [stream for stream in self._streams if now >= stream.check_at]
        await asyncio.gather(*(self._check(stream, now) for stream in due))

    async def _check(self, stream: "Stream", now: float) -> None:
        stream.check_at = now + CHECK_SECONDS
        try:
            is_valid = await self._is_valid(stream.exchange)
        except Exception:  # noqa: BLE001  (whatever it is, the next check may know)
            return
        if not is_valid:
            stream.write(_REVOKED)
            stream.finish()

    async def _tick_often(self) -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            await self.tick(asyncio.get_running_loop().time())


class _Finished(Exception):
    """The stream has ended while it read older changes."""


class Stream:
    """Sends the changes that a client watches, first those since its cursor."""

    def __init__(self, exchange: AsgiExchange, watch: Watch, feed: Feed, seal: Seal) -> None:
        self.exchange = exchange
        self.interest: Interest = watch.interest
        self.wants_values = watch.values
        now = asyncio.get_running_loop().time()
        self.check_at = now + CHECK_SECONDS * random.uniform(0.5, 1)  # noqa: S311  (not secret)
        self.bookmark_at = now + BOOKMARK_SECONDS
        self.written_at = now
        self.is_live = False
        """Whether everything that the feed delivers goes straight to the client."""
        self._watch = watch
        self._feed = feed
        self._seal = seal
        self._form = Form(watch.values, watch.interest.namespace is None, watch.precise)
        self._held: list[Published] = []
        """What the feed delivers while older changes are read."""
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._is_finished = False
        self._is_cut_off = False
        self._woken: asyncio.Future[None] | None = None

    # Called by the feed, and by the streams

    def push(self, published: Published) -> None:
        """Send a change, or hold it until the older changes are sent."""
        if self.is_live:
            self.write(change_event(published, self._form, self.sealed))
            return
        self._held.append(published)
        self._pending_bytes += 200 + len(published.value or b"")
        if self._pending_bytes > PENDING_BYTES:
            self._cut_off()

    def reset(self) -> None:
        """Tell the client that it has missed changes, and end."""
        self.write(_RESET)
        self.finish()

    def write(self, text: bytes) -> None:
        """Send a text, without waiting for the client."""
        if self._is_finished:
            return
        self._pending.append(text)
        self._pending_bytes += len(text)
        if self._pending_bytes > PENDING_BYTES:
            self._cut_off()
        self._wake()

    def finish(self) -> None:
        """End the stream after what is written already."""
        self._is_finished = True
        self._wake()

    def sealed(self, cursor: str) -> str:
        """Return a position in the changes as clients get it."""
        return Position(cursor).sealed(self._seal)

    # The stream itself

    async def run(self, catching_up: asyncio.Semaphore) -> None:
        """Stream until the client leaves, or the stream is ended."""
        # An error of the storage is an answer of its own, as long as the stream has not begun.
        begin = self._watch.since or await self._beginning()
        await self.exchange.begin_stream(_FIELDS)
        retry = random.randint(*_RETRY_MS)  # noqa: S311  (not secret)
        await self._send(b"retry: %d\n\n" % retry)
        leaving = asyncio.create_task(self._wait_until_client_leaves())
        try:
            await self._catch_up(begin, catching_up)
            while not self._is_finished or self._pending:
                if not self._pending:
                    await self._wait()
                await self._flush()
        except CursorGone:
            await self._send(_RESET)
        except _Finished:
            pass
        except KvError as error:
            # A client that connects again may find the storage well.
            if not isinstance(error, StorageError):
                raise
        finally:
            leaving.cancel()
        if self._is_cut_off:
            raise HalfAnAnswer from None
        await self.exchange.send_piece(b"", more=False)

    async def _beginning(self) -> Position:
        now = await self._feed.storage.changes(ReadChanges(None))
        return Position(now.cursor, self.interest.prefixes[0] if self._watch.initial else None)

    async def _catch_up(self, position: Position, catching_up: asyncio.Semaphore) -> None:
        feed = self._feed
        if position.prefix is None and self._watch.since is None:
            self._go_live(await feed.join(self))
            return
        if position.prefix is not None:
            await self._send_entries(position, catching_up)
        cursor = position.cursor
        async for seen, after in self._older(feed.published(cursor, self), catching_up):
            await self._send_published(seen, after)
            cursor = after or cursor
        # Whatever was made until now is before the position at which the feed begins.
        await feed.synced()
        await feed.join(self)
        overlap = Overlap()
        async for seen, after in self._older(feed.published(cursor, self), catching_up):
            overlap.note(seen)
            await self._send_published(seen, after)
            cursor = after or cursor
        # Whatever was made until now is among the changes that are held.
        await feed.synced()
        cursor = await feed.position()
        # Their positions may be before changes that were sent already.
        held = [
            Published(one.change, None, one.value, one.is_json, one.value_bytes)
            for one in self._held
            if not overlap.has(one)
        ]
        for one in held:
            self.write(change_event(one, self._form, self.sealed))
        self._go_live(cursor)

    async def _older(
        self,
        pages: AsyncIterator[tuple[Sequence[Published], _Position]],
        catching_up: asyncio.Semaphore,
    ) -> AsyncIterator[tuple[Sequence[Published], _Position | None]]:
        """Read pages of changes in parts, whose values are in memory only until they are sent.

        A part is read in a turn, which ends before the part goes to the client. The last part of a
        page has the position after the page.
        """
        while True:
            async with catching_up:
                self._check_unfinished()
                page = await anext(pages, None)
            if page is None:
                return
            seen, after = page
            if not self.wants_values or not seen:
                yield seen, after
                continue
            for start in range(0, len(seen), VALUES_AT_ONCE):
                part = seen[start : start + VALUES_AT_ONCE]
                async with catching_up:
                    self._check_unfinished()
                    await load_values(self._feed.storage, part)
                yield part, after if part[-1] is seen[-1] else None
                for one in part:
                    one.value = None
                    one.texts.clear()

    def _check_unfinished(self) -> None:
        if self._is_finished:
            raise _Finished

    def _go_live(self, cursor: str) -> None:
        self._held.clear()
        self._pending_bytes = sum(map(len, self._pending))
        self.is_live = True
        self.write(event("ready", id=self.sealed(cursor)))

    async def _send_entries(self, begin: Position, catching_up: asyncio.Semaphore) -> None:
        storage = permitted(self._feed.storage, self.exchange.user)
        pages = initial_pages(storage, self.interest, begin, limit=_INITIAL_ENTRIES)
        async for entries, after in self._older(pages, catching_up):
            events = [change_event(one, self._form, self.sealed) for one in entries]
            if events and after is not None:
                events.append(b"id: %b\n\n" % after.sealed(self._seal).encode())
            if events:
                await self._send_older(b"".join(events))

    async def _send_published(self, published: Sequence[Published], after: str | None) -> None:
        if published:
            published[-1].cursor = after or published[-1].cursor
            events = [change_event(one, self._form, self.sealed) for one in published]
            await self._send_older(b"".join(events))

    async def _send_older(self, piece: bytes) -> None:
        self._check_unfinished()
        await self._send(piece)

    async def _flush(self) -> None:
        pieces, self._pending = self._pending, []
        self._pending_bytes = 0
        if pieces:
            await self._send(b"".join(pieces))

    async def _send(self, piece: bytes) -> None:
        self.written_at = asyncio.get_running_loop().time()
        try:
            self.exchange.hold(len(piece))
            await self.exchange.send_piece(piece)
        except Overloaded:
            # The client connects again, perhaps to a server that has memory.
            self._cut_off()
            raise _Finished from None
        finally:
            self.exchange.release()

    async def _wait(self) -> None:
        if not self._is_finished:
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
            self._woken = None

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _cut_off(self) -> None:
        self._is_cut_off = self._is_finished = True
        self._pending.clear()
        self._held.clear()
        self._pending_bytes = 0
        self._wake()

    async def _wait_until_client_leaves(self) -> None:
        with suppress(Exception):  # whatever it is, the client cannot be reached
            while self.exchange.is_unread:
                await self.exchange.receive()
            # The next message comes once the client has closed the connection, or its half of it.
            await self.exchange.receive()
        self._pending.clear()
        self.finish()
