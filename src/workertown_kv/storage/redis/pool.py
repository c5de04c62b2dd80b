"""Keep the connections to a server. All calls to the server go through its pool."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from ..connections import Connections, PoolUse
from ..keyspace import Lost
from ..url_parts import Address
from .connection import Connector, PlainConnection
from .request import NotConnected, Request, TooFewReplicas

WAITED: Final = 0.9
"""The part of the remaining time that replicas have. The rest is for the answer of Redis."""


class Pool:
    """The connections to a server. Requests get one in the order in which they came."""

    def __init__(
        self, address: Address, connector: Connector, *, connections: int, replicas: int
    ) -> None:
        self.address = address
        self._connector = connector
        self._replicas = replicas
        self._most = connections
        self._asking = 0
        self._turns = asyncio.Semaphore(connections)
        self._connections = Connections(self._open, NotConnected)

    def use(self) -> PoolUse:
        """Return how much the pool is used."""
        return self._connections.use(self._asking, self._most)

    async def exchange(self, requests: Sequence[Request], deadline: float) -> list[Any]:
        """Send requests together, and return the outcome of each.

        An outcome is an answer, an error that Redis answered, `Lost`, or `TooFewReplicas`.
        """
        outcomes: list[Any] = []
        sent = False
        self._asking += 1
        try:
            async with asyncio.timeout_at(deadline), self._turns:
                connection = await self._connected()
                try:
                    sent = True
                    reusable = await self._converse(connection, requests, outcomes, deadline)
                except BaseException:
                    # Answers are still to come on this connection, and nothing will read them.
                    await self._end(connection)
                    raise
                if reusable:
                    self._connections.keep(connection)
                else:
                    await self._end(connection)
        except (OSError, RedisError) as problem:
            error = problem.problem if isinstance(problem, NotConnected) else problem
            outcomes += [Lost(sent=sent, cause=error) for _ in range(len(requests) - len(outcomes))]
        finally:
            self._asking -= 1
        return outcomes

    async def drop_idle(self) -> None:
        """Close the connections that no request uses."""
        while self._connections.idle:
            await self._end(self._connections.idle.pop())

    async def _connected(self) -> PlainConnection:
        idle = self._connections.idle
        while idle:
            connection = idle.pop()
            if not connection.is_stale():
                return connection
            await self._end(connection)
        return await self._connections.new()

    async def _open(self) -> PlainConnection:
        connection = self._connector.connection(self.address)
        try:
            await self._connector.open(connection)
        except BaseException as error:
            await connection.disconnect(nowait=True)
            answered = isinstance(error, AuthenticationError | BusyLoadingError)
            if isinstance(error, OSError | RedisConnectionError) and not answered:
                # At `maxclients`, Redis may end a connection before the reason can be read.
                raise NotConnected(error) from error
            raise
        return connection

    async def _end(self, connection: PlainConnection) -> None:
        await connection.disconnect(nowait=True)
        self._connections.ended()

    async def _converse(
        self,
        connection: PlainConnection,
        requests: Sequence[Request],
        outcomes: list[Any],
        deadline: float,
    ) -> bool:
        """Send requests and read their outcomes. Returns whether every command has its answer."""
        commands = [command for request in requests for command in request.commands()]
        waits = self._replicas > 0 and any(request.call.writes for request in requests)
        if waits:
            left = deadline - asyncio.get_running_loop().time()
            commands.append(("WAIT", self._replicas, max(int(left * WAITED * 1000), 1)))
        await connection.send(commands)
        for request in requests:
            answers = [await _answer(connection) for _ in request.commands()]
            outcomes.append(answers[-1])
        if not waits:
            return True
        return await self._wait(connection, requests, outcomes)

    async def _wait(
        self, connection: PlainConnection, requests: Sequence[Request], outcomes: list[Any]
    ) -> bool:
        """Replace the outcomes of writes that too few replicas have."""
        written = {
            index: outcomes[index]
            for index, request in enumerate(requests)
            if request.call.writes and not isinstance(outcomes[index], Exception)
        }
        if not written:
            return False  # the answer to WAIT is left unread
        for index in written:
            outcomes[index] = TooFewReplicas("WAIT was not answered")
        reached = await _answer(connection)
        for index, outcome in written.items():
            enough = isinstance(reached, int) and reached >= self._replicas
            outcomes[index] = outcome if enough else TooFewReplicas(f"WAIT was answered {reached}")
        return True


async def _answer(connection: PlainConnection) -> Any:
    try:
        return await connection.read_response(disable_decoding=True, disconnect_on_error=False)
    except (ResponseError, AuthenticationError, BusyLoadingError) as error:
        return error
