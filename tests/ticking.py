"""Measure how long something takes, so that a busy machine does not make it longer."""

import asyncio
from typing import Self


class Ticking:
    """Counts the hundredths of a second during which the event loop runs.

    On a busy machine it counts fewer of them in the same time, so a test that expects at most so
    many ticks never fails because other programs run.
    """

    def __init__(self) -> None:
        self.ticks = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            self.ticks += 1
