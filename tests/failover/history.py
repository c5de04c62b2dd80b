"""Judge whether the reads and writes of a key could each have happened at one moment."""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

NOTHING = "nothing"
"""The value of a key that was never written."""


@dataclass
class Act:
    """A read or a write, from its request to its answer.

    No value is written twice. A write whose outcome nobody knows never ends: it may still happen.
    """

    value: str
    began: float
    ended: float = math.inf
    writes: bool = False


class Zone(NamedTuple):
    """The time from the first end of an act on a value to the last beginning of such an act.

    The key had the value all that time or, if the times are reversed, at a moment between them.
    """

    first_end: float
    last_begin: float
    value: str


class History:
    """Holds all acts on a key. The last act is a read that began when all others had ended."""

    def __init__(self) -> None:
        self.acts = [Act(NOTHING, -math.inf, -math.inf, writes=True)]

    def faults(self) -> Iterator[str]:
        """Return what is impossible if each act happens at a moment between its start and its end.

        This is the test of Gibbons and Korach (Testing Shared Memories, 1997).
        """
        acts = defaultdict[str, list[Act]](list)
        for act in self.acts:
            acts[act.value].append(act)
        kept: list[Zone] = []
        passing: list[Zone] = []
        for value, some in acts.items():
            zone = Zone(min(act.ended for act in some), max(act.began for act in some), value)
            (kept if zone.first_end < zone.last_begin else passing).append(zone)
            written = [act.began for act in some if act.writes]
            if not written or written[0] > zone.first_end:
                yield f"{value} was read before anybody wrote it"
        kept.sort()
        for zone, after in pairwise(kept):
            if after.first_end < zone.last_begin:
                yield f"{zone.value} was read although {after.value} was there by then"
        for zone in passing:
            before = bisect_left(kept, (zone.last_begin,)) - 1
            if before >= 0 and zone.first_end < kept[before].last_begin:
                yield f"{zone.value} was written, and {kept[before].value} read before and after"

    def lost(self) -> int:
        """Return how many acknowledged writes began after the write that the last read saw."""
        seen = min(act.ended for act in self.acts if act.value == self.acts[-1].value)
        return sum(act.writes and act.began > seen and act.ended < math.inf for act in self.acts)


@dataclass
class Refused:
    """A write that was answered with 412: it expected another value."""

    value: str
    expected: str
    ended: float


class Counting(History):
    """Holds all acts on a key whose every write extends the value before it, and requires it."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, str] = {}
        """Return the value that each write expected, except refused writes."""
        self.refused: list[Refused] = []

    def faults(self) -> Iterator[str]:
        yield from super().faults()
        after = {self.before[value]: value for value in self.line()}
        written = {act.value: act for act in self.acts if act.writes}
        for one in self.refused:
            if one.value in after.values():
                yield f"{one.value} was refused and yet written"
            if one.expected in after or one.expected == self.acts[-1].value:
                other = written.get(after.get(one.expected, ""))
                if other is None or other.began > one.ended:
                    yield f"{one.value} was refused although {one.expected} was there"

    def lost(self) -> int:
        line = set(self.line())
        done = [act.value for act in self.acts if act.writes and act.ended < math.inf]
        return len(set(done) - line - {NOTHING})

    def line(self) -> list[str]:
        """Return all values that the last value was made of, with that value first."""
        line = []
        value = self.acts[-1].value
        while value in self.before:
            line.append(value)
            value = self.before[value]
        return line
