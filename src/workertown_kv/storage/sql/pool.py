"""The connections of a process: kept while they work, limited in number, never waited for long."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from ...errors import KvError
from ..connections import Connections
from .session import Session, TooManyConnections


class Pool:
    """At most `size` connections, each made when it is needed and kept for the next who needs one.

    Where the engine takes fewer than that, requests wait for those that there are.

    The drivers bring pools of their own. asyncpg's asks the server to reset a connection after
    each use, which is a second round trip; asyncmy's gives out connections that a server has closed
    meanwhile.
    """

    def __init__(self, connect: Callable[[], Awaitable[Session]], size: int) -> None:
        self._free = asyncio.Semaphore(size)
        self._connections = Connections(connect, TooManyConnections)
        self._job = _Job()

    def job(self) -> "_Job":
        """Something that was accepted: `close()` waits for its end."""
        return self._job

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A connection for one user; whoever comes when all are in use waits in line."""
        session = await self.take()
        try:
            yield session
        except BaseException as error:
            self.give_back(session, error)
            raise
        self.give_back(session)

    async def take(self) -> Session:
        """A connection, which has to be given back."""
        await self._free.acquire()
        try:
            return self._kept() or await self._connections.new()
        except BaseException:
            self._free.release()
            raise

    def give_back(self, session: Session, error: BaseException | None = None) -> None:
        """The end of its use. `error` is what came of it, if it was one."""
        # With an error of ours the engine has given its answer, so nothing more will come.
        if (error is None or isinstance(error, KvError)) and session.usable:
            if self._connections.waiting:
                self._connections.keep(session)
            else:
                self._connections.idle.append(session)
        else:
            self._end(session)
        self._free.release()

    def forget(self) -> None:
        """Let go of the connections that nobody uses: the server may know nothing of them."""
        while self._connections.idle:
            self._end(self._connections.idle.pop())

    async def close(self) -> None:
        """Wait until all that was accepted is done, and disconnect."""
        while self._job.count:
            self._job.ended.clear()
            await self._job.ended.wait()
        idle, self._connections.idle = self._connections.idle, []
        await asyncio.gather(*(session.close() for session in idle))

    def _kept(self) -> Session | None:
        # The one that was used last is the least likely to have been closed meanwhile.
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
    """Counts what is under way. It is one for all, since there is one for each request."""

    def __init__(self) -> None:
        self.count = 0
        self.ended = asyncio.Event()

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1
        if not self.count:
            self.ended.set()
