"""Follow the changes of a store, and go on after failures where the last page ended."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from ...changes import Interest, Published, load_values, published_changes, published_entries
from ...errors import CursorGone, InputError, KvError, Overloaded, RateLimited, StorageUnavailable
from ...operations import List, ReadChanges
from ...storage import Storage

WAIT_SECONDS: Final = 30.0
"""How long a read waits for a change."""

_PAGE: Final = 1000
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0


class Signal(StrEnum):
    """An event of the watch itself."""

    READY = "ready"
    """All entries that were there at the beginning have come."""
    RESET = "reset"
    """Changes were missed: the storage no longer keeps them."""


Seen = Published | Signal


class Watch(msgspec.Struct, frozen=True):
    """What to follow."""

    interest: Interest
    since: str | None = None
    """The cursor after which to begin; `None` begins now."""
    initial: bool = False
    """Whether all entries come first, as changes that set them."""
    values: bool = False


async def follow(
    storage: Storage, watch: Watch, failed: Callable[[KvError], None]
) -> AsyncIterator[Sequence[Seen]]:
    """Yield pages of changes for ever. Raises the error of the first read.

    Calls `failed` with a later failure that a retry may mend, and tries again.
    """
    pages = _Pages(storage, watch)
    has_begun = False
    pause = 0.0
    while True:
        try:
            page = await pages.next()
        except (StorageUnavailable, Overloaded, RateLimited) as error:
            if not has_begun:
                raise
            if not pause:
                failed(error)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS) or _FIRST_PAUSE_SECONDS
            wait = error.retry_after if isinstance(error, RateLimited) else pause
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311  (no secret)
        else:
            has_begun, pause = True, 0.0
            yield page


class _Pages:
    """Reads the pages one by one. A page whose reading failed can be read again."""

    def __init__(self, storage: Storage, watch: Watch) -> None:
        self._storage = storage
        self._watch = watch
        self._cursor = watch.since
        self._knows = watch.since is None
        """Whether the storage has known the cursor."""
        self._unlisted = list(watch.interest.prefixes) if watch.initial else []
        """The prefixes whose entries still have to be listed."""
        self._listed: str | None = None
        """The cursor of the listing of the first of them."""

    async def next(self) -> Sequence[Seen]:
        if self._cursor is None:
            self._cursor = (await self._storage.changes(self._reading(None))).cursor
            return ()
        if self._unlisted:
            return await self._initial()
        try:
            page = await self._storage.changes(self._reading(self._cursor))
        except (CursorGone, InputError) as error:
            # A store in memory that was restarted knows no cursor.
            if isinstance(error, InputError) and not self._knows:
                raise
            self._cursor = None
            return (Signal.RESET,)
        self._knows = True
        seen = published_changes(page, self._watch.interest)
        await self._load_values(seen)
        self._cursor = page.cursor
        return seen

    def _reading(self, since: str | None) -> ReadChanges:
        interest = self._watch.interest
        return ReadChanges(since, _PAGE, WAIT_SECONDS, interest.namespace, interest.prefixes)

    async def _initial(self) -> Sequence[Seen]:
        namespace = self._watch.interest.namespace
        assert namespace is not None
        page = await self._storage.list(List(namespace, self._unlisted[0], _PAGE, self._listed))
        seen = published_entries(namespace, page.keys)
        await self._load_values(seen)
        self._listed = page.cursor
        if page.cursor is None:
            del self._unlisted[0]
        return seen if self._unlisted else [*seen, Signal.READY]

    async def _load_values(self, seen: Sequence[Published]) -> None:
        if self._watch.values:
            await load_values(self._storage, seen)
