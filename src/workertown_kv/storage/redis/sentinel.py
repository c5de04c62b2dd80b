"""Find the master that sentinels watch over, and replace if it fails."""

import asyncio

from redis.exceptions import ConnectionError as RedisConnectionError

from ..url_parts import Address
from .pool import Pool
from .servers import Servers
from .settings import Settings


class Sentinels(Servers):
    """Asks the sentinels for the master at first, and whenever it may have changed."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._hosts = [*settings.hosts]
        self._master: Pool | None = None
        self._asking = asyncio.Lock()

    async def pool_for(self, slot: int) -> Pool:
        if self._master is None:
            async with self._asking:
                if self._master is None:
                    self._master = self.at(await self._found())
        return self._master

    async def doubt(self, pool: Pool) -> None:
        if self._master is pool:
            self._master = None
            await pool.drop_idle()

    async def _found(self) -> Address:
        """Return the master's address, by the first sentinel that knows it."""
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._settings.service)
        unknown = RedisConnectionError("No sentinel knows a master of this name")
        host, answer = await self.ask_in_turn(self._hosts, command, unknown)
        # From now on, this sentinel is first in line.
        self._hosts.remove(host)
        self._hosts.insert(0, host)
        return answer[0].decode(), int(answer[1])
