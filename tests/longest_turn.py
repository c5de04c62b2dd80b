"""Measure how long an act keeps the event loop from running anything else."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def longest_turn(act: Callable[[], Awaitable[object]]) -> float:
    """Return the most seconds between two turns of other tasks, during the act.

    They are counted for the thread of the event loop, so other work of the machine plays no part.
    """
    acting = asyncio.ensure_future(act())
    longest = 0.0
    before = time.thread_time()
    while not acting.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, before = max(longest, now - before), now
    acting.result()
    return longest
