"""Send calls to Redis over its own protocol."""

from collections.abc import Hashable, Sequence
from typing import Any, Final

from ..keyspace import Call, Transport
from .cluster import Cluster
from .dispatch import Dispatch
from .failures import translated
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

    async def close(self) -> None:
        await self._servers.close()
