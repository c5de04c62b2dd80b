"""Read the changes of a table on a server, record expiries, and remove old changes."""

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from ....errors import StorageError, StorageFailure, StorageUnavailable, StorageUnsupported
from ....failure_log import FailureLog
from ....operations import Change, ChangePage, Event, ReadChanges
from ...contract import Clock, Retention
from ..schema import Schema
from ..server_statements import ServerStatements
from ..session import Session
from ..writing import Statement

POLL_SECONDS: Final = 0.05
"""How often a reader that waits asks for changes."""

EXPIRY_SECONDS: Final = 0.5
"""How often a reader records what has expired."""

STEP_ROWS: Final = 5000
"""How many changes are removed, or lifetimes ended, in one statement."""

MOST_STEPS: Final = 20

COLUMNS: Final = 'event, namespace, "key", version, expires_at, metadata'
"""The columns that `change_of` reads."""


class ChangeReader(ABC):
    """Reads changes from the log of an engine. A subclass knows what a cursor of it is."""

    def __init__(self, statements: ServerStatements) -> None:
        self.table = statements.table.strip('"')
        self.entries = statements.table
        self.changes = f'"{self.table}_change"'
        self.log = f'"{self.table}_log"'

    @abstractmethod
    async def page(self, session: Session, since: str | None, limit: int) -> ChangePage:
        """Return the changes after a cursor, or the cursor of now. See `Storage.changes`."""

    @abstractmethod
    def expiring(self) -> Statement:
        """Select the time, the time up to which expiries are recorded, and whether one is due."""

    @abstractmethod
    def expire(self, until: float, limit: int) -> Statement:
        """Record that lifetimes have ended, except those of rows that others are writing."""

    @abstractmethod
    async def remove_old(self, session: Session, retention: Retention, limit: int) -> int:
        """Remove changes that need not be kept, oldest first, and return how many."""

    @abstractmethod
    def check_engine(self, session: Session) -> Awaitable[None]:
        """Raise `StorageError` if this server could not keep changes in order."""


class ChangeFeed:
    """Does what all engines do alike."""

    def __init__(
        self, reader: ChangeReader, statements: ServerStatements, schema: Schema, clock: Clock
    ) -> None:
        self._reader = reader
        self._schema = schema
        self._statements = statements
        self._clock = clock
        self._is_recorded = False
        self._expired_at = -math.inf
        self._failures = FailureLog()

    async def read(
        self,
        operation: ReadChanges,
        do: Callable[[Callable[[Session], Awaitable[ChangePage]]], Awaitable[ChangePage]],
    ) -> ChangePage:
        """Return the next changes, at the latest when the operation waits no longer."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + operation.wait
        since = operation.since
        while True:
            page = await do(partial(self._page, since=since, limit=operation.limit))
            left = deadline - loop.time()
            if page.changes or since is None or (page.complete and left <= 0):
                return page
            since = page.cursor
            if page.complete:
                await asyncio.sleep(min(POLL_SECONDS, left))

    async def remove_old(self, session: Session, retention: Retention) -> None:
        """Remove changes that need not be kept."""
        try:
            for _ in range(MOST_STEPS):
                if await self._reader.remove_old(session, retention, STEP_ROWS) < STEP_ROWS:
                    return
        except StorageError as error:
            # Another server does it, or changes that should go are not committed yet.
            if error.kind is StorageFailure.REFUSED:
                self._failures.failed("refused", f"Old changes are not removed: {error}")
            elif error.kind is not StorageFailure.BUSY:
                raise

    async def _page(self, session: Session, *, since: str | None, limit: int) -> ChangePage:
        if not self._is_recorded:
            await self._reader.check_engine(session)
            if not await self._schema.is_recorded(session):
                raise not_recorded(self._schema.why_unrecorded)
            self._is_recorded = True
        await self._expire(session)
        return await self._reader.page(session, since, limit)

    async def _expire(self, session: Session) -> None:
        now = self._clock()
        if abs(now - self._expired_at) < EXPIRY_SECONDS:  # the clock may be set back
            return
        self._expired_at = now
        try:
            await self._record_expired(session)
        except StorageUnavailable as error:
            # Others write the same rows. The next reader tries again.
            if error.kind is not StorageFailure.BUSY:
                raise

    async def _record_expired(self, session: Session) -> None:
        for _ in range(MOST_STEPS):
            ((now, until, is_due),) = await session.fetch(self._reader.expiring())
            if not is_due and now < until + 30:
                return
            recorded = await session.execute(self._reader.expire(now, STEP_ROWS))
            if recorded < STEP_ROWS:
                await session.execute(
                    (
                        f"UPDATE {self._reader.log} SET expired_until = {self._statements.mark(1)}",
                        (now,),
                    )
                )
                return


def not_recorded(why: str | None = None) -> StorageUnsupported:
    """Return the error for a database that does not record changes."""
    if why is not None:
        return StorageUnsupported(
            f"No changes are recorded, since the triggers for them could not be created ({why}); "
            "if the engine has triggers, run `workertown-kv migrate` as a user who may create them"
        )
    return StorageUnsupported(
        "No changes are recorded: a server with changes = False uses this database, or the "
        "triggers that record changes are missing; to create them, run `workertown-kv migrate`"
    )


def change_of(row: Sequence[Any]) -> Change:
    """Return the change in a row."""
    event, namespace, key, version, expires_at, metadata = row
    return Change(
        event=Event(event.decode()),
        namespace=namespace.decode(),
        key=key.decode(),
        version=None if version is None else version.decode(),
        expires_at=expires_at,
        metadata=metadata,
    )
