"""Send calls to Upstash in one request, and again if that does no harm."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ..keyspace import Call, Lost, Transport
from . import encoding
from .failures import Refused, translated
from .rest import Rest
from .url import Settings


class UpstashTransport(Transport):
    """Sends requests to one database."""

    name = "Upstash"

    # An answer, like a request, may have 10 MiB, of which base64 takes a quarter.
    read_bytes = 7 * 1024 * 1024

    def __init__(self, settings: Settings) -> None:
        self._rest = Rest(settings.endpoint, settings.token)
        self.poll_seconds = settings.parameters.poll

    async def run(self, calls: Sequence[Call], deadline: float) -> list[Any]:
        outcomes = await self._sent(calls, deadline, by_text=False)
        again = [i for i, call in enumerate(calls) if _may_repeat(call, outcomes[i])]
        if again and asyncio.get_running_loop().time() < deadline:
            # Scripts are sent as text now, since Upstash may not know them.
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
    """Return whether a call did not run, or does no harm if it runs twice."""
    if isinstance(outcome, Lost):
        return outcome.may_repeat(call)
    return isinstance(outcome, Refused) and str(outcome).startswith("NOSCRIPT")
