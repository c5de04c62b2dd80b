"""Remove expired entries, and their items in the listing."""

from collections.abc import Sequence
from secrets import token_hex
from typing import Any, Final

from ...errors import StorageError
from .call import Call, script_call
from .engine import Session
from .scripts import RELEASE, SWEEP

LEAST_OF_A_BUCKET: Final = 10
"""The fewest entries to look for in each of many buckets."""

SPARE_SECONDS: Final = 1.0
"""How much longer the claim of a server lasts than a sweep can take, if the server dies."""


async def sweep(session: Session, limit: int, before: float) -> int:
    """Remove at most `limit` entries that expired before this time, unless another server sweeps.

    Returns how many entries were removed. Buckets that cannot be reached wait for the next call.
    """
    layout = session.layout
    part = min(limit, max(limit // layout.buckets, LEAST_OF_A_BUCKET))
    expired = await session.ask(
        [
            Call(
                layout.slot(bucket),
                ("ZRANGEBYSCORE", layout.expiring(bucket), "-inf", repr(before), "LIMIT", 0, part),
            )
            for bucket in range(layout.buckets)
        ]
    )
    calls = _calls(session, expired, limit, before)
    if not calls:
        return _removed(expired)
    name, me = layout.sweeping, token_hex(8)
    slot, lives = layout.slot_of(name), int((session.seconds + SPARE_SECONDS) * 1000)
    # If this fails because the memory is full, sweeping is even more necessary.
    (claimed,) = await session.ask([Call(slot, ("SET", name, me, "NX", "PX", lives))])
    if claimed is None:
        return 0
    swept = await session.ask(calls)
    await session.ask([script_call(slot, RELEASE, [name], [me])])
    return _removed([*expired, *swept])


def _calls(session: Session, expired: Sequence[Any], limit: int, before: float) -> list[Call]:
    """Make a call for each bucket that removes the entries found there."""
    layout = session.layout
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
    removed = [outcome for outcome in outcomes if isinstance(outcome, int)]
    for outcome in outcomes:
        if isinstance(outcome, StorageError) and not removed:
            raise outcome
    return sum(removed)
