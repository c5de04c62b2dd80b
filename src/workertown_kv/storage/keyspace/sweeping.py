"""Remove expired entries, their items in the listing, and old changes."""

import math
from collections.abc import Iterator, Sequence
from secrets import token_hex
from typing import Any, Final

from ...errors import StorageError
from ..contract import SWEEP_MARGIN_SECONDS, Retention
from .call import Call, script_call
from .engine import Session
from .layout import Layout
from .scripts import RELEASE, SWEEP, TRIM

LEAST_OF_A_BUCKET: Final = 10
"""The fewest entries to look for in each of many buckets."""

SPARE_SECONDS: Final = 1.0
"""How much longer the claim of a server lasts than a sweep can take, if the server dies."""

TRIM_SECONDS: Final = 60.0
"""How long to wait until the next search for old changes, if the last search found none."""


class Sweeper:
    """Sweeps, and remembers when no change was old."""

    def __init__(self) -> None:
        self._trimmed_at = -math.inf

    async def sweep(
        self, session: Session, limit: int, now: float, retention: Retention | None
    ) -> int:
        """Remove at most `limit` entries that expired long ago, unless another server sweeps.

        Returns how many entries were removed. Also removes some of the changes that are older than
        the retention. Buckets that cannot be reached wait for the next call.
        """
        layout, before = session.layout, now - SWEEP_MARGIN_SECONDS
        part = min(limit, max(limit // layout.buckets, LEAST_OF_A_BUCKET))
        searches = [
            Call(
                layout.slot(bucket),
                ("ZRANGEBYSCORE", name, repr(-before), repr(before), "LIMIT", 0, part),
            )
            for bucket, name in enumerate(map(layout.expiring, range(layout.buckets)))
        ]
        trims: list[Call] = []
        if retention is not None and abs(now - self._trimmed_at) >= TRIM_SECONDS:
            trims = [*_trims(layout, now - retention.seconds)]
        answers = await session.ask([*searches, *trims])
        expired, trimmed = answers[: layout.buckets], answers[layout.buckets :]
        if trims and not any(trimmed):
            self._trimmed_at = now
        calls = _calls(session, expired, limit, now)
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


def _trims(layout: Layout, before: float) -> Iterator[Call]:
    for bucket in range(layout.buckets):
        yield script_call(layout.slot(bucket), TRIM, [layout.log(bucket)], (repr(before),))


def _calls(session: Session, expired: Sequence[Any], limit: int, now: float) -> list[Call]:
    """Make a call for each bucket that removes the entries found there."""
    layout = session.layout
    times = (repr(now), repr(now - SWEEP_MARGIN_SECONDS), session.kept)
    calls: list[Call] = []
    left = limit
    for bucket, entries in enumerate(expired):
        if isinstance(entries, StorageError) or not entries[:left]:
            continue
        keys, members = [layout.expiring(bucket), layout.log(bucket)], []
        for entry in entries[:left]:
            index, member = layout.index_of(bucket, entry)
            keys += (entry, index)
            members.append(member)
        left -= len(members)
        slot = layout.slot(bucket)
        calls.append(script_call(slot, SWEEP, keys, (*times, *members), writes=True))
    return calls


def _removed(outcomes: Sequence[Any]) -> int:
    removed = [outcome for outcome in outcomes if isinstance(outcome, int)]
    for outcome in outcomes:
        if isinstance(outcome, StorageError) and not removed:
            raise outcome
    return sum(removed)
