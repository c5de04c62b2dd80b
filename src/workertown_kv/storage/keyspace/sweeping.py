"""Removing what has expired, and with it its place in the listing."""

from collections.abc import Sequence
from secrets import token_hex
from typing import Any, Final

from ...errors import StorageError
from .call import Call, script_call
from .engine import Use
from .scripts import RELEASE, SWEEP

LEAST_OF_A_BUCKET: Final = 10
"""Where there are many buckets, each is asked for at least so many."""

SPARE_SECONDS: Final = 1.0
"""So much longer than a step can take, nobody else sweeps where the one who does has died."""


async def sweep(use: Use, limit: int, before: float) -> int:
    """Remove at most `limit` entries that expired before this time, unless another server does.

    Returns how many it were. What cannot be reached is left for another time.
    """
    layout = use.layout
    part = min(limit, max(limit // layout.buckets, LEAST_OF_A_BUCKET))
    expired = await use.ask(
        [
            Call(
                layout.slot(bucket),
                ("ZRANGEBYSCORE", layout.expiring(bucket), "-inf", repr(before), "LIMIT", 0, part),
            )
            for bucket in range(layout.buckets)
        ]
    )
    calls = _calls(use, expired, limit, before)
    if not calls:
        return _removed(expired)
    name, me = layout.sweeping, token_hex(8)
    slot, lives = layout.slot_of(name), int((use.seconds + SPARE_SECONDS) * 1000)
    # Where this fails, a full memory may be the cause, and then sweeping is all the more needed.
    (claimed,) = await use.ask([Call(slot, ("SET", name, me, "NX", "PX", lives))])
    if claimed is None:
        return 0
    swept = await use.ask(calls)
    await use.ask([script_call(slot, RELEASE, [name], [me])])
    return _removed([*expired, *swept])


def _calls(use: Use, expired: Sequence[Any], limit: int, before: float) -> list[Call]:
    """What removes, of each bucket, what was found in it."""
    layout = use.layout
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
        calls.append(script_call(slot, SWEEP, keys, (repr(before), *members), writes=True))
    return calls


def _removed(outcomes: Sequence[Any]) -> int:
    removed = [one for one in outcomes if isinstance(one, int)]
    for outcome in outcomes:
        if isinstance(outcome, StorageError) and not removed:
            raise outcome
    return sum(removed)
