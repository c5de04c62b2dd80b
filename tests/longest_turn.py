"""How long an act keeps the event loop from doing anything else."""

import asyncio
import time
from collections.abc import Awaitable, Callable


async def longest_turn(act: Callable[[], Awaitable[object]]) -> float:
    """Seconds at most between two turns of others, while the act goes on.

    They are those of the event loop's thread, so whatever else the machine does plays no part.
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
