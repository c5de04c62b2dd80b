"""Keep the connections of a process while they work, up to a limit."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from ...errors import KvError
from ..connections import Connections, PoolUse
from .session import Session, TooManyConnections


class Pool:
    """At most `size` connections, made on demand and kept for later requests.

    If the engine accepts fewer connections, requests wait for those that exist.

    The drivers have pools too. But asyncpg's pool resets a connection after each use, which is a
    second round trip, and asyncmy's pool may hand out a connection that the server has closed.
    """

    def __init__(self, connect: Callable[[], Awaitable[Session]], size: int) -> None:
        self._size = size
        self._asking = 0
        self._free = asyncio.Semaphore(size)
        self._connections = Connections(connect, TooManyConnections)
        self._job = _Job()

    def use(self) -> PoolUse:
        """Return how much the pool is used."""
        return self._connections.use(self._asking, self._size)

    def job(self) -> "_Job":
        """Return a context manager for an operation, whose end `close()` awaits."""
        return self._job

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Lend a connection. If all are in use, requests wait in line."""
        session = await self.take()
        try:
            yield session
        except BaseException as error:
            self.give_back(session, error)
            raise
        self.give_back(session)

    async def take(self) -> Session:
        """Take a connection, which must be given back."""
        self._asking += 1
        try:
            await self._free.acquire()
        except BaseException:
            self._asking -= 1
            raise
        try:
            return self._kept() or await self._connections.new()
        except BaseException:
            self._asking -= 1
            self._free.release()
            raise

    def give_back(self, session: Session, error: BaseException | None = None) -> None:
        """Give a connection back. `error` is the error with which its use ended, if any."""
        # After a `KvError` the engine has answered, so no more bytes will come.
        if (error is None or isinstance(error, KvError)) and session.usable:
            if self._connections.waiting:
                self._connections.keep(session)
            else:
                self._connections.idle.append(session)
        else:
            self._end(session)
        self._asking -= 1
        self._free.release()

    def forget(self) -> None:
        """End the connections that nobody uses, since the server may no longer know them."""
        while self._connections.idle:
            self._end(self._connections.idle.pop())

    async def close(self) -> None:
        """Wait for all operations under way, and disconnect."""
        while self._job.count:
            self._job.ended.clear()
            await self._job.ended.wait()
        idle, self._connections.idle = self._connections.idle, []
        await asyncio.gather(*(session.close() for session in idle))

    def _kept(self) -> Session | None:
        # The server is least likely to have closed the connection that was used last.
        idle = self._connections.idle
        while idle:
            session = idle.pop()
            if not session.is_stale:
                return session
            self._end(session)
        return None

    def _end(self, session: Session) -> None:
        session.terminate()
        self._connections.ended()


class _Job:
    """Counts the operations under way. All share one object, which saves time per request."""

    def __init__(self) -> None:
        self.count = 0
        self.ended = asyncio.Event()

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1
        if not self.count:
            self.ended.set()
