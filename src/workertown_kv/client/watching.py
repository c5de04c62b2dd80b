"""Follow changes: begin with what is there, and go on after failures where it stopped."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from ..changes import Interest, Published, apart, load_values, published_changes, published_entries
from ..errors import CursorGone, InputError, Overloaded, RateLimited, StorageUnavailable
from ..operations import List, ReadChanges
from ..storage import Storage
from .connection import Connection
from .entry import Change, decoded, metadata_of

WAIT_SECONDS: Final = 30.0
"""How long a read waits for a change."""

PAGE_CHANGES: Final = 1000
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0


class Watcher:
    """Reads what a watch yields, page by page. After a failure, a page can be read again."""

    def __init__(
        self, storage: Storage, interest: Interest, *, initial: bool, values: bool
    ) -> None:
        assert interest.namespace is not None
        self._storage = storage
        self._namespace = interest.namespace
        self._interest = interest
        self._initial = initial
        self._values = values
        self._cursor: str | None = None
        self._unlisted: list[str] = []
        """The prefixes whose entries are still to be listed."""
        self._listing: str | None = None
        """The cursor of the listing of the first of them."""

    async def next_page(self) -> Sequence[Change]:
        """Return the next changes. There may be none, after some seconds."""
        try:
            return await self._next_page()
        except (CursorGone, InputError):  # a store in memory that was restarted knows no cursor
            if self._cursor is None:
                raise
            self._cursor = None
            return [Change(event="reset")]

    async def _next_page(self) -> Sequence[Change]:
        if self._cursor is None:
            cursor = (await self._storage.changes(self._reading(None))).cursor
            self._cursor, self._listing = cursor, None
            self._unlisted = list(self._interest.prefixes) if self._initial else []
            return ()
        if self._unlisted:
            return await self._initial_page(self._unlisted[0])
        page = await self._storage.changes(self._reading(self._cursor))
        changes = await self._decoded(published_changes(page, self._interest))
        self._cursor = page.cursor
        return changes

    def _reading(self, since: str | None) -> ReadChanges:
        return ReadChanges(
            since, PAGE_CHANGES, WAIT_SECONDS, self._namespace, self._interest.prefixes
        )

    async def _initial_page(self, prefix: str) -> Sequence[Change]:
        page = await self._storage.list(List(self._namespace, prefix, PAGE_CHANGES, self._listing))
        changes = await self._decoded(published_entries(self._namespace, page.keys))
        self._listing = page.cursor
        if page.cursor is None:
            self._unlisted.pop(0)
        return changes if self._unlisted else [*changes, Change(event="ready")]

    async def _decoded(self, published: Sequence[Published]) -> Sequence[Change]:
        if self._values:
            await load_values(self._storage, published)
        return [_change_of(one) for one in published]


async def watch(
    connection: Connection,
    namespace: str,
    prefixes: Sequence[str],
    *,
    initial: bool,
    values: bool,
) -> AsyncGenerator[Sequence[Change]]:
    """Yield pages of changes until the client is closed, also after failures that may end.

    A failure of the first read is raised.
    """
    interest = Interest(namespace, apart(prefixes or ("",)))
    watcher = Watcher(connection.storage, interest, initial=initial, values=values)
    pause = 0.0
    has_begun = False
    while True:
        try:
            changes = await connection.unless_closed(watcher.next_page())
        except (StorageUnavailable, Overloaded, RateLimited) as error:
            if not has_begun:
                raise
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS) or FIRST_PAUSE_SECONDS
            wait = error.retry_after if isinstance(error, RateLimited) else pause
            await connection.unless_closed(asyncio.sleep(wait * random.uniform(0.5, 1)))  # noqa: S311
        else:
            if changes is None:
                return
            has_begun, pause = True, 0.0
            if changes:
                yield changes
        if connection.is_closed:
            return


def _change_of(published: Published) -> Change:
    change, value = published.change, published.value
    return Change(
        event=change.event.value,
        key=change.key,
        version=change.version,
        expires_at=change.expires_at,
        metadata=metadata_of(change.metadata),
        **({} if value is None else {"value": decoded(value) if published.is_json else value}),
    )
