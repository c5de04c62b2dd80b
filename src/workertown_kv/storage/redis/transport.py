"""Send calls to Redis over its own protocol."""

import asyncio
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final

from redis.exceptions import RedisError

from ...meters.metric import Measurement
from ..keyspace import Call, Transport
from .cluster import Cluster
from .dispatch import Dispatch
from .failures import translated
from .request import Request
from .sentinel import Sentinels
from .servers import Servers, Single
from .settings import Kind, Settings

_KINDS: Final[dict[Kind, type[Servers]]] = {
    Kind.SINGLE: Single,
    Kind.SENTINEL: Sentinels,
    Kind.CLUSTER: Cluster,
}


class RedisTransport(Transport):
    """Connections to the servers that the settings name."""

    name = "Redis"

    def __init__(self, settings: Settings) -> None:
        self._servers = _KINDS[settings.kind](settings)
        self.clustered = self._servers.clustered

    def server(self, slot: int) -> Hashable:
        return self._servers.last_known(slot)

    async def run(self, calls: Sequence[Call], deadline: float) -> list[Any]:
        outcomes = await Dispatch(self._servers, deadline).run(calls)
        return [
            translated(outcome, writes=call.writes) if isinstance(outcome, Exception) else outcome
            for call, outcome in zip(calls, outcomes, strict=True)
        ]

    async def wait(self, call: Call | None, seconds: float) -> float:
        is_answered = call is not None and await self._is_answered(call, seconds)
        return 0.0 if is_answered else self.poll_seconds

    def measurements(self) -> Iterable[Measurement]:
        return self._servers.measurements()

    async def close(self) -> None:
        await self._servers.close()

    async def _is_answered(self, call: Call, seconds: float) -> bool:
        """Send a call that blocks, on a connection that no other call waits for."""
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(deadline):
                pool = await self._servers.pool_for(call.slot)
        except (OSError, RedisError):
            return False
        blocking = self._servers.blocking_at(pool.address)
        (outcome,) = await blocking.exchange([Request(call)], deadline)
        return not isinstance(outcome, Exception)
