"""Find the servers of a cluster, where the server of a slot may change."""

import asyncio
import random
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from redis.exceptions import ClusterDownError

from ..url_parts import Address
from .pool import Pool
from .servers import Servers
from .settings import Settings

PAUSE_SECONDS: Final = 0.1
"""How long to wait before reading the cluster's map again, however many calls fail."""


class Cluster(Servers):
    """Reads the map of the slots at first, and whenever it may have changed."""

    clustered: ClassVar[bool] = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._map = _Map([])
        self._doubted: set[Address] = set()
        self._outdated = True
        self._read_at = -PAUSE_SECONDS
        self._reading = asyncio.Lock()

    async def pool_for(self, slot: int) -> Pool:
        if self._is_due():
            async with self._reading:
                if self._is_due():
                    self._map = await self._found()
                    self._outdated = False
                    self._read_at = asyncio.get_running_loop().time()
        owner = self._map.owner(slot)
        if owner is None:
            self._outdated = True
            raise ClusterDownError("Hash slot not served")
        return self.at(owner)

    def last_known(self, slot: int) -> Address | None:
        return self._map.owner(slot)

    async def doubt(self, pool: Pool) -> None:
        self._outdated = True
        self._doubted.add(pool.address)

    def _is_due(self) -> bool:
        since = asyncio.get_running_loop().time() - self._read_at
        return self._outdated and since >= PAUSE_SECONDS

    async def _found(self) -> "_Map":
        """Return the map of the first server that answers. Servers that failed come last."""
        hosts = list({*self._map.owners, *self._settings.hosts})
        random.shuffle(hosts)
        hosts.sort(key=self._doubted.__contains__)
        unknown = ClusterDownError("No server of the cluster has slots")
        host, answer = await self.ask_in_turn(hosts, ("CLUSTER", "SLOTS"), unknown)
        self._doubted.clear()
        return _Map(list(_ranges(answer, host[0])))


class _Map:
    """Ranges of slots, and the server of each."""

    def __init__(self, ranges: list[tuple[int, int, Address]]) -> None:
        self._ranges = sorted(ranges)
        self._starts = [start for start, _, _ in self._ranges]
        self.owners = {address for _, _, address in ranges}

    def owner(self, slot: int) -> Address | None:
        """Return the address of the server that has a slot."""
        position = bisect_right(self._starts, slot) - 1
        if position < 0:
            return None
        _, end, address = self._ranges[position]
        return address if slot <= end else None


def _ranges(answer: Any, sender: str) -> Iterator[tuple[int, int, Address]]:
    for start, end, primary, *_ in answer:
        host, port = primary[:2]
        # A server that does not know its own address has the address that has answered.
        known = host.decode() if host not in (None, b"", b"?") else sender
        yield start, end, (known, port)
