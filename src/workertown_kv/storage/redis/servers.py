"""Find the servers of the slots: `sentinel.py` and `cluster.py` have the other kinds."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final

from redis.exceptions import RedisError

from ...meters.metric import Measurement
from ..connections import pool_measurements
from ..keyspace import Argument
from ..url_parts import Address
from .connection import Connector
from .pool import Pool
from .settings import Settings

MOST_BLOCKING: Final = 100
"""How many calls may block at a server. As a rule, one reader of changes waits in a process."""


class Servers(ABC):
    """Knows the server of each slot, and has a pool for each server."""

    clustered: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connector = Connector(settings)
        self._pools: dict[Address, Pool] = {}
        self._blocking: dict[Address, Pool] = {}

    @abstractmethod
    async def pool_for(self, slot: int) -> Pool:
        """Return the pool of the slot's server. Raises an error of redis-py if none is known."""

    def last_known(self, slot: int) -> Address | None:
        """Return the address of the server that had a slot, where slots have different servers."""
        return None

    async def doubt(self, pool: Pool) -> None:
        """Take note that a server did not answer, or has changed its role.

        The next call first finds out the right server.
        """

    def at(self, address: Address) -> Pool:
        """Return the pool of the server at an address."""
        return self._one_of(self._pools, address, self._settings.parameters.connections)

    def blocking_at(self, address: Address) -> Pool:
        """Return the pool for calls that block at the server, which other calls do not share."""
        return self._one_of(self._blocking, address, MOST_BLOCKING)

    async def ask_in_turn(
        self, hosts: Sequence[Address], command: Sequence[Argument], unknown: RedisError
    ) -> tuple[Address, Any]:
        """Ask hosts in turn. Returns the first host that knows an answer, and its answer.

        Raises the error of the last host that failed, or `unknown` if none did.
        """
        problem: Exception = unknown
        # A host that hangs must leave time to ask the others.
        seconds = self._settings.parameters.timeout / (len(hosts) + 1)
        for host in hosts:
            try:
                answer = await self._connector.ask(host, command, seconds)
            except (OSError, RedisError) as error:
                problem = error
                continue
            if answer:
                return host, answer
        raise problem

    def measurements(self) -> Iterator[Measurement]:
        """Return how much the pools are used, except those for calls that block."""
        return pool_measurements(pool.use() for pool in self._pools.values())

    async def close(self) -> None:
        """Close the connections. No call is under way."""
        for pool in (*self._pools.values(), *self._blocking.values()):
            await pool.drop_idle()

    def _one_of(self, pools: dict[Address, Pool], address: Address, connections: int) -> Pool:
        pool = pools.get(address)
        if pool is None:
            pool = pools[address] = Pool(
                address,
                self._connector,
                connections=connections,
                replicas=self._settings.parameters.wait,
            )
        return pool


class Single(Servers):
    """A single Redis."""

    async def pool_for(self, slot: int) -> Pool:
        return self.at(self._settings.hosts[0])
