"""Keep the connections of a pool, for engines that may refuse further connections."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

from ..meters.catalogue import MOST_POOL, POOL, POOL_WAITING
from ..meters.metric import Measurement

CROWDED_SECONDS: Final = 10.0
"""How long the pool tries no further connection after the engine has refused a connection."""

_Connection = TypeVar("_Connection")


class PoolUse(NamedTuple):
    """How much a pool is used."""

    asking: int
    """The operations that have a connection, or wait for one."""
    connections: int
    idle: int
    most: int


def pool_measurements(pools: Iterable[PoolUse]) -> Iterator[Measurement]:
    """Return how much the pools of a storage are used together."""
    used = idle = waiting = most = 0
    for pool in pools:
        used += pool.connections - pool.idle
        idle += pool.idle
        waiting += max(0, pool.asking - (pool.connections - pool.idle))
        most += pool.most
    yield Measurement(POOL, used, ("used",))
    yield Measurement(POOL, idle, ("idle",))
    yield Measurement(MOST_POOL, most)
    yield Measurement(POOL_WAITING, waiting)


class Connections(Generic[_Connection]):
    """Makes connections, and has requests wait for used ones if the engine refuses more.

    `refusal` is the error that `connect` raises if the engine accepts no further connection. The
    pool raises it only if it has no connection at all.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[_Connection]], refusal: type[Exception]
    ) -> None:
        self.idle: list[_Connection] = []
        """The connections that no request uses."""
        self.waiting: deque[asyncio.Future[_Connection | None]] = deque()
        """The requests that wait for a connection, or for `None`, after which they make one."""
        self._connect = connect
        self._refusal = refusal
        self._count = 0
        self._crowded_until = 0.0

    def use(self, asking: int, most: int) -> PoolUse:
        """Return how much the pool is used, if so many operations have or want a connection."""
        return PoolUse(asking, self._count, len(self.idle), most)

    async def new(self) -> _Connection:
        """Make a connection, or wait until another request hands on its own."""
        while True:
            if self._count and asyncio.get_running_loop().time() < self._crowded_until:
                if self.idle:  # it may have become idle while this tried to make another
                    return self.idle.pop()
                handed_on = await self._handed_on()
                if handed_on is not None:
                    return handed_on
            self._count += 1
            try:
                made = await self._connect()
            except self._refusal as error:
                self._count -= 1
                self._crowded_until = asyncio.get_running_loop().time() + CROWDED_SECONDS
                if not self._count:
                    self._refuse_all(error)
                    raise
            except BaseException:
                self.ended()
                raise
            else:
                # The engine may accept even more connections.
                self._crowded_until = 0.0
                return made

    def keep(self, connection: _Connection) -> None:
        """Give a connection to the first request that waits, or keep it for the next request."""
        if not self._hand(connection):
            self.idle.append(connection)

    def ended(self) -> None:
        """Take note that a connection has ended, so that another can be made."""
        self._count -= 1
        self._hand(None)

    def _hand(self, connection: _Connection | None) -> bool:
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _refuse_all(self, error: Exception) -> None:
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_exception(error)
        self.waiting.clear()

    async def _handed_on(self) -> _Connection | None:
        waiter: asyncio.Future[_Connection | None] = asyncio.get_running_loop().create_future()
        self.waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            # The request may have got a connection at the same moment.
            if not waiter.cancelled() and waiter.exception() is None:
                connection = waiter.result()
                if connection is None:
                    self._hand(None)
                else:
                    self.keep(connection)
            raise
