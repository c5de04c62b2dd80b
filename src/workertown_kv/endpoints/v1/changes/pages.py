"""Answer with pages of changes, at once or as soon as there is a change."""

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec import Raw

from ....changes import Feed, Interest, Published, Sealer, load_values, published_changes
from ....changes.sealing import Seal
from ....http.answer import Answer
from ....http.exchange import Exchange
from ....operations import ReadChanges
from ....storage.wrappers.permitted import permitted
from ..envelope import object_answer
from .encoding import ChangesPage, Form, change_json
from .initial import initial_pages
from .watch import Position, Watch

MOST_PAGES: Final = 20
"""How many pages of changes that the client does not watch are read for an answer."""

_FIELDS: Final = [(b"cache-control", b"no-store")]


class _Waiter:
    """Waits for the next change that a request watches."""

    wants_values = False

    def __init__(self, interest: Interest) -> None:
        self.interest = interest
        self.found = asyncio.Event()

    def push(self, _: Published) -> None:
        self.found.set()

    def reset(self) -> None:
        self.found.set()


class Pages:
    """Answers requests for pages."""

    def __init__(self, feed: Feed, sealer: Sealer) -> None:
        self._feed = feed
        self._sealer = sealer
        self._waiters: set[_Waiter] = set()
        self._is_over = False

    def end(self, *, for_good: bool) -> None:
        """Let all requests that wait answer now and, `for_good`, none wait from now on."""
        self._is_over = for_good
        for waiter in self._waiters:
            waiter.found.set()

    async def answer(self, exchange: Exchange, watch: Watch) -> Answer:
        """Answer with the next page, which may be empty once `watch.wait` is over."""
        seal = await self._sealer.ready()
        position = watch.since
        if position is None:
            now = await self._feed.storage.changes(ReadChanges(None))
            first = watch.interest.prefixes[0] if watch.initial else None
            position = Position(now.cursor, first)
        if position.prefix is not None:
            return await self._initial(exchange, watch, position, seal)
        seen, cursor, complete = await self._next(watch, position.cursor)
        if complete and not seen and watch.wait:
            seen, cursor, complete = await self._wait(watch, cursor)
        if watch.values:
            await load_values(self._feed.storage, seen, exchange.expect)
        return _answer(seen, watch, Position(cursor), seal, complete=complete)

    async def _initial(
        self, exchange: Exchange, watch: Watch, position: Position, seal: Seal
    ) -> Answer:
        storage = permitted(self._feed.storage, exchange.user)
        pages = initial_pages(storage, watch.interest, position, limit=watch.limit)
        async for seen, after in pages:
            if seen or after.prefix is None:
                if watch.values:
                    await load_values(self._feed.storage, seen, exchange.expect)
                return _answer(seen, watch, after, seal, complete=False)
        return _answer((), watch, Position(position.cursor), seal, complete=False)

    async def _next(self, watch: Watch, cursor: str) -> tuple[Sequence[Published], str, bool]:
        """Return the next changes that the request watches, and the position after them."""
        complete = False
        seen: Sequence[Published] = ()
        for _ in range(MOST_PAGES):
            page = await self._feed.storage.changes(ReadChanges(cursor, watch.limit))
            seen = published_changes(page, watch.interest)
            cursor, complete = page.cursor, page.complete
            if seen or complete:
                break
        return seen, cursor, complete

    async def _wait(self, watch: Watch, cursor: str) -> tuple[Sequence[Published], str, bool]:
        waiter = _Waiter(watch.interest)
        self._waiters.add(waiter)
        if self._is_over:
            waiter.found.set()
        try:
            await self._feed.join(waiter)
            # A change may have been made since the page was read and before the feed was joined.
            found = await self._next(watch, cursor)
            if found[0] or not found[2]:
                return found
            await asyncio.wait([asyncio.ensure_future(waiter.found.wait())], timeout=watch.wait)
            return await self._next(watch, found[1])
        finally:
            self._waiters.discard(waiter)
            self._feed.leave(waiter)
            waiter.found.set()


def _answer(
    seen: Sequence[Published], watch: Watch, position: Position, seal: Seal, *, complete: bool
) -> Answer:
    form = Form(watch.values, watch.interest.namespace is None, watch.precise)
    changes = [Raw(change_json(one, form)) for one in seen]
    return object_answer(ChangesPage(changes, position.sealed(seal), complete), _FIELDS)
