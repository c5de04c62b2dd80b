"""Removing what has expired, and with it its place in the listing."""

from typing import Final

from ...errors import StorageError
from .call import Call, script_call
from .engine import Use
from .scripts import SWEEP

LEAST_OF_A_BUCKET: Final = 10
"""Where there are many buckets, each is asked for at least so many."""


async def sweep(use: Use, limit: int, now: float) -> int:
    """Remove at most `limit` expired entries; how many it were.

    What cannot be reached is left for another time.
    """
    layout = use.layout
    part = min(limit, max(limit // layout.buckets, LEAST_OF_A_BUCKET))
    expired = await use.ask(
        [
            Call(
                layout.slot(bucket),
                ("ZRANGEBYSCORE", layout.expiring(bucket), "-inf", repr(now), "LIMIT", 0, part),
            )
            for bucket in range(layout.buckets)
        ]
    )
    calls: list[Call] = []
    left = limit
    for bucket, entries in enumerate(expired):
        if isinstance(entries, StorageError) or not entries[:left]:
            continue
        keys, members = [layout.expiring(bucket)], []
        for entry in entries[:left]:
            index, member = layout.index_of(bucket, entry)
            keys += (entry, index)
            members.append(member)
        left -= len(members)
        slot = layout.slot(bucket)
        calls.append(script_call(slot, SWEEP, keys, (repr(now), *members), writes=True))
    outcomes = [*expired, *await use.ask(calls)]
    removed = [one for one in outcomes if isinstance(one, int)]
    for outcome in outcomes:
        if isinstance(outcome, StorageError) and not removed:
            raise outcome
    return sum(removed)
