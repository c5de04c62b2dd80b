"""Which server has what: one for everything, here or in the module of the cluster."""

from abc import ABC, abstractmethod
from typing import ClassVar

from ..url_parts import Address
from .connection import Connector
from .pool import Pool
from .settings import Settings


class Servers(ABC):
    """From a slot to the pool of the server that has it."""

    clustered: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connector = Connector(settings)
        self._pools: dict[Address, Pool] = {}

    @abstractmethod
    async def pool_for(self, slot: int) -> Pool:
        """The server to ask. Raises an error of redis-py where none is known."""

    async def doubt(self, pool: Pool) -> None:
        """This server did not answer, or is not what it was: find out before it is used again."""

    def at(self, address: Address) -> Pool:
        """The server at an address."""
        pool = self._pools.get(address)
        if pool is None:
            pool = self._pools[address] = Pool(address, self._connector, self._settings)
        return pool

    async def close(self) -> None:
        """Let go of the connections. Nobody uses them any more."""
        for pool in self._pools.values():
            await pool.drop_idle()


class Single(Servers):
    """One Redis."""

    async def pool_for(self, slot: int) -> Pool:
        return self.at(self._settings.hosts[0])
