"""Run operations on a database server, within a deadline, and retry them if that is safe."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar

from ...errors import StorageError, StorageFailure, StorageUnavailable
from ...meters.metric import Measurement
from ..connections import pool_measurements
from ..contract import Clock, Migration
from .pool import Pool
from .schema import MIGRATION_SECONDS, OutdatedSchema, Schema
from .session import Lost, MissingTable, NotDone, Session, TooManyConnections, Undone
from .url import ServerUrl

TRIES: Final = 8
"""How often to try an operation that the engine undoes in favour of others."""

_LOG: Final = logging.getLogger("workertown_kv")
_T = TypeVar("_T")


class Connect(Protocol):
    """Makes a connection. If `patient`, the server itself has no time limit for statements."""

    async def __call__(self, host: str, port: int, *, patient: bool) -> Session:
        """Connect. Raises `StorageUnavailable` if there is no server, or it accepts no writes."""


class Database:
    """The connections to a server, its schema, and every rule on waiting and retrying.

    Every operation has an answer or raises `StorageUnavailable` within `timeout`. A read is retried
    once if the connection breaks. A write is retried only if it certainly did not happen: if the
    engine says that it undid the write, or ended the connection before it.
    """

    def __init__(
        self, engine: str, url: ServerUrl, connect: Connect, schema: Schema, clock: Clock
    ) -> None:
        self.engine = engine
        # The engine has the same time as a clock that tests move.
        self.records = True
        """Whether the database should record changes."""
        self.may_create = True
        """Whether to create missing tables when the database is opened."""
        self._moved_clock = None if clock is time.time else clock
        self._url = url
        self._hosts = list(url.hosts)
        self.timeout = url.parameters.timeout
        self._connect_to = connect
        self.schema = schema
        self._pool: Pool | None = None
        self._preparing: asyncio.Task[Sequence[Migration]] | None = None
        self._prepared = False

    async def open(self) -> Sequence[Migration]:
        """Prepare for operations. If the server is down now, later operations try again."""
        self._pool = Pool(self._connect, self._url.parameters.connections)
        self._preparing = None
        self._prepared = False
        try:
            return await self._prepare()
        except (StorageUnavailable, OutdatedSchema) as error:
            _LOG.warning(
                "%s at %s: %s; requests fail until that has changed",
                *(self.engine, self._url.address, error),
            )
            return ()
        except StorageError:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish the operations under way and disconnect. Repeating it does no harm."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()
            if self._preparing is not None:
                self._preparing.cancel()
                await asyncio.wait([self._preparing])

    def measurements(self) -> Iterable[Measurement]:
        """Return how much the connections are used."""
        return () if self._pool is None else pool_measurements([self._pool.use()])

    def opened(self) -> Pool:
        """Return the open pool. Raises `StorageUnavailable` if the database is closed."""
        if self._pool is None:
            raise StorageUnavailable("The storage is closed")
        return self._pool

    async def ask(self, pool: Pool, act: Callable[[Session], Awaitable[_T]], *, writes: bool) -> _T:
        """Run an operation on a connection, once the schema is up to date."""
        asked = False

        async def attempt() -> _T:
            nonlocal asked
            session = await pool.take()
            asked = True
            try:
                if self._moved_clock is not None:
                    await session.move_clock(self._moved_clock() - time.time())
                outcome = await act(session)
            except BaseException as error:
                pool.give_back(session, error)
                raise
            pool.give_back(session)
            return outcome

        try:
            async with asyncio.timeout(self.timeout):
                if not self._prepared:
                    await self._prepare_once()
                return await self._repeated(pool, attempt, writes=writes)
        except TimeoutError as error:
            pool.forget()
            raise self.late(writes and asked) from error

    def late(self, in_doubt: bool) -> StorageUnavailable:
        """Return the error of what had no answer in time."""
        return _unavailable(self._silence(self.timeout), in_doubt=in_doubt)

    async def migrate(self, to: int | None) -> Sequence[Migration]:
        """Change the schema; see `Storage.migrate`."""
        with self.opened().job():
            async with self._patient_session() as session:
                ran = await self._migrate(session, to)
                if to is None:
                    await self._within(MIGRATION_SECONDS, self.schema.repair_recorder(session))
            return ran

    async def _repeated(
        self, pool: Pool, attempt: Callable[[], Awaitable[_T]], *, writes: bool
    ) -> _T:
        undone = lost = ended = 0
        while True:
            try:
                return await attempt()
            except Undone:
                undone += 1
                if undone == TRIES:
                    raise
                # Operations that conflicted should not come back at the same moment.
                await asyncio.sleep(random.uniform(0, 0.002 * 2**undone))  # noqa: S311  (not cryptography)
            except NotDone as error:
                pool.forget()
                ended += 1
                if ended == TRIES:
                    raise _unavailable(error.message, in_doubt=False) from error.__cause__
            except Lost as error:
                pool.forget()
                lost += 1
                if writes or lost > 1:
                    raise _unavailable(error.message, in_doubt=writes) from error.__cause__
            except TooManyConnections:
                raise
            except StorageUnavailable:
                # Another server may have replaced this server; new connections lead to it.
                pool.forget()
                raise
            except MissingTable as error:
                raise self.schema.missing() from error.__cause__

    async def _prepare_once(self) -> None:
        """Wait until the schema is up to date. All requests that wait share one preparation."""
        if self._preparing is None or self._preparing.done():
            self._preparing = asyncio.create_task(self._prepare())
            # If every request has given up waiting, nobody else reads the outcome.
            self._preparing.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(self._preparing)

    async def _prepare(self) -> Sequence[Migration]:
        ran: Sequence[Migration] = ()
        async with self._patient_session() as session:
            if self._url.parameters.migrate == "auto":
                ran = await self._migrate(session, None, may_create=self.may_create)
                await self._record(session)
            else:
                await self._within(self.timeout, self.schema.check(session))
        self._prepared = True
        return ran

    async def _migrate(
        self, session: Session, to: int | None, *, may_create: bool = True
    ) -> Sequence[Migration]:
        try:
            asked = self.schema.is_due(session, to, may_create=may_create)
            if not await self._within(self.timeout, asked):
                return ()
            return await self._within(MIGRATION_SECONDS, self.schema.migrate(session, to))
        except StorageError as error:
            if error.kind is StorageFailure.REFUSED:
                error.message += (
                    "; expected tables that `workertown-kv migrate` has made as a user who may "
                    "create them, and the rights to use these tables"
                )
            raise

    async def _record(self, session: Session) -> None:
        """Let the database record changes, or not. It can be used if that fails."""
        act = self.schema.record(session, records=self.records)
        try:
            await self._within(MIGRATION_SECONDS, act)
        except StorageError as error:
            if error.kind in (StorageFailure.UNREACHABLE, StorageFailure.BUSY):
                raise
            if self.records:
                self.schema.why_unrecorded = error.message
            what = "may not record changes" if self.records else "may still record changes"
            _LOG.warning("%s %s: %s", self.engine, what, error)

    @asynccontextmanager
    async def _patient_session(self) -> AsyncIterator[Session]:
        session = await self._within(self.timeout, self._connect(patient=True))
        try:
            yield session
        except BaseException:
            session.terminate()
            raise
        await session.close()

    async def _connect(self, *, patient: bool = False) -> Session:
        """Connect to the first host that works, beginning with the host that worked last."""
        hosts = list(self._hosts)
        # A host that hangs must leave time for the others.
        share = None if len(hosts) == 1 else self.timeout / len(hosts)
        failures: list[StorageUnavailable | TimeoutError] = []
        while True:
            host = hosts.pop(0)
            try:
                async with asyncio.timeout(share):
                    session = await self._connect_to(*host, patient=patient)
            except (StorageUnavailable, TimeoutError) as error:
                failures.append(error)
                if not hosts:
                    failure = min(failures, key=_rank)
                    raise failure from failure.__cause__
            else:
                self._hosts.remove(host)
                self._hosts.insert(0, host)
                return session

    async def _within(self, seconds: float, waited_for: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(seconds):
                return await waited_for
        except TimeoutError as error:
            raise StorageUnavailable(self._silence(seconds)) from error

    def _silence(self, seconds: float) -> str:
        return f"{self.engine} did not answer within {seconds:g} s"


def _rank(error: StorageUnavailable | TimeoutError) -> int:
    """Rank the failures of several hosts: first a full host, then a host that answers."""
    if isinstance(error, TooManyConnections):
        return 0
    answered = (
        isinstance(error, StorageUnavailable) and error.kind is not StorageFailure.UNREACHABLE
    )
    return 1 if answered else 2


def _unavailable(message: str, *, in_doubt: bool) -> StorageUnavailable:
    doubt = "; the write may or may not have happened" if in_doubt else ""
    return StorageUnavailable(message + doubt)
