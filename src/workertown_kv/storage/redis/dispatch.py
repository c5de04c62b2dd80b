"""Send calls to the servers that have their slots, and again if that does no harm.

A call is sent again if Redis did not run it, but answered where to send it or what is missing. A
call without an answer is sent again once, unless it is a write that may have happened.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)

from ..keyspace import Call, Lost
from .pool import Pool
from .request import Request, TooFewReplicas
from .servers import Servers

MOST_TURNS: Final = 8
"""A cluster that redirects a call more often than this is broken."""

MOVING_SECONDS: Final = 0.05
"""The pause before the next request for keys that are moving to another server."""

_DOUBTS: Final = (Lost, ReadOnlyError, MovedError, ClusterDownError, TooFewReplicas)
"""Errors after which this may no longer be the right server."""


class _Pending(msgspec.Struct):
    index: int
    request: Request
    target: Pool | None = None
    """The server that Redis named."""
    turns: int = 0
    was_lost: bool = False


class Dispatch:
    """Sends calls that have one deadline, which is a time of the event loop."""

    def __init__(self, servers: Servers, deadline: float) -> None:
        self._servers = servers
        self._deadline = deadline
        self._moving = False

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Return the answer to each call, or its error: `Lost`, or one of redis-py."""
        outcomes: list[Any] = [None] * len(calls)
        pending = [_Pending(index, Request(call)) for index, call in enumerate(calls)]
        while pending:
            groups: dict[Pool, list[_Pending]] = defaultdict(list)
            owners: dict[int, Pool | Lost] = {}
            for waiting in pending:
                slot = waiting.request.call.slot
                if waiting.target is None and slot not in owners:
                    owners[slot] = await self._pool_for(slot)
                pool = waiting.target or owners[slot]
                if isinstance(pool, Lost):
                    outcomes[waiting.index] = pool
                else:
                    groups[pool].append(waiting)
            pending = []
            for (pool, group), answers in zip(
                groups.items(), await self._exchanged(groups), strict=True
            ):
                for sent, answer in zip(group, answers, strict=True):
                    outcomes[sent.index] = answer
                    if isinstance(answer, Exception) and await self._again(pool, sent, answer):
                        pending.append(sent)
            if self._moving:
                self._moving = False
                await asyncio.sleep(MOVING_SECONDS)
        return outcomes

    async def _pool_for(self, slot: int) -> Pool | Lost:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._servers.pool_for(slot)
        except (OSError, RedisError) as error:
            return Lost(sent=False, cause=error)

    async def _exchanged(self, groups: dict[Pool, list[_Pending]]) -> list[list[Any]]:
        exchanges = [
            pool.exchange([waiting.request for waiting in group], self._deadline)
            for pool, group in groups.items()
        ]
        if len(exchanges) == 1:
            return [await exchanges[0]]  # the usual case, which needs no task
        return await asyncio.gather(*exchanges)

    async def _again(self, pool: Pool, pending: _Pending, error: Exception) -> bool:
        """Decide whether to send a call again, and note how and where."""
        if isinstance(error, _DOUBTS):
            await self._servers.doubt(pool)
        left = self._deadline - asyncio.get_running_loop().time()
        pending.target = None
        pending.turns += 1
        if left <= 0 or pending.turns > MOST_TURNS:
            return False
        call = pending.request.call
        match error:
            case Lost():
                first, pending.was_lost = not pending.was_lost, True
                return first and error.may_repeat(call)
            case NoScriptError():
                pending.target = pool
                pending.request = msgspec.structs.replace(pending.request, by_text=True)
                return True
            case AskError() if self._servers.clustered:
                pending.target = self._servers.at((error.host or pool.address[0], error.port))
                pending.request = Request(call, asking=not isinstance(error, MovedError))
                return True
            case TryAgainError():
                self._moving = True
                pending.turns = 0
                return left > MOVING_SECONDS
            case ReadOnlyError():
                return pending.turns == 1
        return False
