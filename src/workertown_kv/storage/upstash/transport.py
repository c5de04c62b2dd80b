"""The way to Redis through Upstash: calls in one request, and again where that does no harm."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ..keyspace import Call, Transport
from . import encoding
from .failures import Lost, Refused, translated
from .rest import Rest
from .url import Settings


class UpstashTransport(Transport):
    """Requests to one database."""

    # An answer may be as large as a request, which is 10 MiB, and base64 takes a third more.
    read_bytes = 7 * 1024 * 1024

    def __init__(self, settings: Settings) -> None:
        self._rest = Rest(settings.endpoint, settings.token)

    async def run(self, calls: Sequence[Call], deadline: float) -> list[Any]:
        outcomes = await self._sent(calls, deadline, by_text=False)
        again = [i for i, call in enumerate(calls) if _may_repeat(call, outcomes[i])]
        if again and asyncio.get_running_loop().time() < deadline:
            # A script is sent as text then, since Upstash may have lost it.
            more = await self._sent([calls[i] for i in again], deadline, by_text=True)
            for index, outcome in zip(again, more, strict=True):
                outcomes[index] = outcome
        return [
            translated(outcome, writes=call.writes)
            if isinstance(outcome, Lost | Refused)
            else outcome
            for call, outcome in zip(calls, outcomes, strict=True)
        ]

    async def close(self) -> None:
        await self._rest.close()

    async def _sent(self, calls: Sequence[Call], deadline: float, *, by_text: bool) -> list[Any]:
        commands = [encoding.command(call, by_text=by_text) for call in calls]
        return [
            outcome if isinstance(outcome, Lost | Refused) else encoding.answer(outcome)
            for outcome in await self._rest.run(commands, deadline)
        ]


def _may_repeat(call: Call, outcome: Any) -> bool:
    """Whether it was not done, or does no harm if it is done twice."""
    if isinstance(outcome, Lost):
        return not (call.writes and outcome.sent)
    return isinstance(outcome, Refused) and str(outcome).startswith("NOSCRIPT")
