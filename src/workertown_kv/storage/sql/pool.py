"""The connections of a process: kept while they work, limited in number, never waited for long."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from ...errors import KvError
from .session import Session


class Pool:
    """At most `size` connections, each made when it is needed and kept for the next who needs one.

    The drivers bring pools of their own. asyncpg's asks the server to reset a connection after
    each use, which is a second round trip; asyncmy's gives out connections that a server has closed
    meanwhile.
    """

    def __init__(self, connect: Callable[[], Awaitable[Session]], size: int) -> None:
        self._connect = connect
        self._free = asyncio.Semaphore(size)
        self._idle: list[Session] = []
        self._jobs = 0
        self._finished = asyncio.Event()

    @contextmanager
    def job(self) -> Iterator[None]:
        """Something that was accepted: `close()` waits for its end."""
        self._jobs += 1
        try:
            yield
        finally:
            self._jobs -= 1
            self._finished.set()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A connection for one user; whoever comes when all are in use waits in line."""
        async with self._free:
            session = self._kept() or await self._connect()
            try:
                yield session
            except KvError:
                # The engine has given its answer, so nothing more will come.
                self._keep(session)
                raise
            except BaseException:
                session.terminate()
                raise
            self._keep(session)

    def forget(self) -> None:
        """Let go of the connections that nobody uses: the server may know nothing of them."""
        while self._idle:
            self._idle.pop().terminate()

    async def close(self) -> None:
        """Wait until all that was accepted is done, and disconnect."""
        while self._jobs:
            self._finished.clear()
            await self._finished.wait()
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.close() for session in idle))

    def _kept(self) -> Session | None:
        # The one that was used last is the least likely to have been closed meanwhile.
        while self._idle:
            session = self._idle.pop()
            if not session.is_stale:
                return session
            session.terminate()
        return None

    def _keep(self, session: Session) -> None:
        if session.usable:
            self._idle.append(session)
        else:
            session.terminate()
