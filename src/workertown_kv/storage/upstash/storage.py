"""Keep entries in a database at Upstash."""

import math
import time

from ..contract import Clock
from ..keyspace import Engine, KeyspaceStorage
from .transport import UpstashTransport
from .url import parse_url


class UpstashStorage(KeyspaceStorage):
    """Keeps entries in the database at Upstash that `url` names: `upstash://TOKEN@HOST`.

    The layout is that of `RedisStorage`, and each reads the entries of the other. A write is as
    durable as Upstash makes it.
    """

    probe_seconds = 60.0
    """A probe every minute, since Upstash charges for commands."""

    def __init__(self, url: str, *, clock: Clock = time.time) -> None:
        settings = parse_url(url)
        super().__init__(
            Engine(lambda: UpstashTransport(settings), settings.parameters), clock=clock
        )
        self._sweep_seconds = settings.parameters.sweep
        self._idle_since = -math.inf

    async def sweep(self, limit: int) -> int:
        # Servers call this often, and Upstash charges for each command.
        if abs(self.clock() - self._idle_since) < self._sweep_seconds:
            return 0
        removed = await super().sweep(limit)
        if not removed:
            self._idle_since = self.clock()
        return removed
