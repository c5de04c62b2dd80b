"""Calls to where they belong, and again where that is known to do no harm.

A call is sent again where Redis has said that it did not do it, and only told where else to go or
what it lacks. One that was lost is sent again once, unless it may have been done and does harm if
it is done twice.
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

from ..keyspace import Call
from .pool import Pool
from .request import Lost, Request, TooFewReplicas
from .servers import Servers

MOST_TURNS: Final = 8
"""A cluster that sends a call around for longer is not in order."""

MOVING_SECONDS: Final = 0.05
"""The pause before asking again for keys that are on their way to another server."""

_DOUBTS: Final = (Lost, ReadOnlyError, MovedError, ClusterDownError, TooFewReplicas)
"""What makes it doubtful that this is still the right server."""


class _Pending(msgspec.Struct):
    index: int
    request: Request
    target: Pool | None = None
    """Where Redis has sent it."""
    turns: int = 0
    was_lost: bool = False


class Dispatch:
    """Calls that have one deadline, a time of the event loop."""

    def __init__(self, servers: Servers, deadline: float) -> None:
        self._servers = servers
        self._deadline = deadline
        self._moving = False

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Of each call what came of it: an answer, or an error of redis-py."""
        outcomes: list[Any] = [None] * len(calls)
        pending = [_Pending(index, Request(call)) for index, call in enumerate(calls)]
        while pending:
            groups: dict[Pool, list[_Pending]] = defaultdict(list)
            for one in pending:
                pool = one.target or await self._pool_for(one.request.call.slot)
                if isinstance(pool, Lost):
                    outcomes[one.index] = pool
                else:
                    groups[pool].append(one)
            pending = []
            for (pool, group), answers in zip(
                groups.items(), await self._exchanged(groups), strict=True
            ):
                for one, answer in zip(group, answers, strict=True):
                    outcomes[one.index] = answer
                    if isinstance(answer, Exception) and await self._again(pool, one, answer):
                        pending.append(one)
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
            pool.exchange([one.request for one in group], self._deadline)
            for pool, group in groups.items()
        ]
        if len(exchanges) == 1:
            return [await exchanges[0]]  # as a rule there is one, and no need of a task for it
        return await asyncio.gather(*exchanges)

    async def _again(self, pool: Pool, one: _Pending, error: Exception) -> bool:
        """Whether to send it again, with a note of how and where."""
        if isinstance(error, _DOUBTS):
            await self._servers.doubt(pool)
        left = self._deadline - asyncio.get_running_loop().time()
        one.target = None
        one.turns += 1
        if left <= 0 or one.turns > MOST_TURNS:
            return False
        call = one.request.call
        match error:
            case Lost():
                first, one.was_lost = not one.was_lost, True
                return first and not (call.writes and error.sent)
            case NoScriptError():
                one.target = pool
                one.request = msgspec.structs.replace(one.request, by_text=True)
                return True
            case AskError() if self._servers.clustered:
                one.target = self._servers.at((error.host or pool.address[0], error.port))
                one.request = Request(call, asking=not isinstance(error, MovedError))
                return True
            case TryAgainError():
                self._moving = True
                one.turns = 0
                return left > MOVING_SECONDS
            case ReadOnlyError():
                return one.turns == 1
        return False
