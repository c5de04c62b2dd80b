"""Note what the writers asked for, and what the servers acknowledged."""

import math
from collections import Counter, defaultdict
from time import monotonic
from typing import Final, NamedTuple

ANY: Final = "any"
"""Stands for a version that nobody knows."""

Version = tuple[str, str]
"""A key and a version of its entry."""


class Write(NamedTuple):
    """An acknowledged write that made a version."""

    began: float
    before: str | None
    """The version that it replaced: `None` if there was no entry, `ANY` if nobody knows."""
    value: object


class Count(NamedTuple):
    """An acknowledged increment."""

    number: int
    version: str


class Ledger:
    """Holds the acts of all writers of a run."""

    def __init__(self) -> None:
        self.writes: dict[Version, Write] = {}
        self.unknown = Counter[str]()
        """How many writes of each key may have made a version that nobody was told."""
        self.removed: dict[Version, float] = {}
        """When requests began that have removed a version, and were acknowledged."""
        self.counts = defaultdict[str, list[Count]](list)
        self.produced: set[Version] = set()
        """The values that were put into the queue."""
        self.taken = Counter[Version]()
        self.perhaps_taken: set[str] = set()
        """The keys of values whose takers got no answer."""
        self.acknowledged = 0
        self.longest_pause = 0.0
        """The longest time in seconds in which no write was acknowledged."""
        self._last = math.inf
        self.without_answer = 0
        self.faults: list[str] = []

    def acknowledge(self) -> None:
        """Count an acknowledged write."""
        now = monotonic()
        self.acknowledged += 1
        self.longest_pause = max(self.longest_pause, now - self._last)
        self._last = now

    def wrote(
        self, key: str, version: str, began: float, before: str | None = ANY, value: object = None
    ) -> None:
        """Note an acknowledged write."""
        self.acknowledge()
        if (key, version) in self.writes:
            self.faults.append(f"{key}: two writes got the version {version}")
        self.writes[key, version] = Write(began, before, value)

    def removes(self, key: str, version: str, began: float) -> None:
        """Note an acknowledged request that has removed this version."""
        self.acknowledge()
        self.removed[key, version] = began

    def counted(self, key: str, number: int, version: str) -> None:
        """Note the result of an acknowledged increment."""
        self.counts[key].append(Count(number, version))

    def may_have_written(self, *keys: str) -> None:
        """Note a write whose outcome nobody knows."""
        self.without_answer += 1
        self.unknown.update(keys)

    def counter_faults(self, key: str, final: int, *, exact: bool) -> list[str]:
        """Return what is wrong with the number that a counter has at the end."""
        counted = len(self.counts[key])
        most = counted if exact else counted + self.unknown[key]
        faults = []
        if not counted <= final <= most:
            faults.append(f"{key} is {final}; expected a number from {counted} to {most}")
        if len({count.number for count in self.counts[key]}) != counted:
            faults.append(f"{key}: two increments got the same number")
        return faults

    def queue_faults(self, left: set[Version]) -> list[str]:
        """Return what is wrong with the values that were taken, given those that are left."""
        faults = [
            f"{key} was taken {times} times" for (key, _), times in self.taken.items() if times > 1
        ]
        faults += [f"{key} was taken, and is still there" for key, _ in left & self.taken.keys()]
        faults += [
            f"{key} is neither there nor was taken"
            for key, version in self.produced
            if (key, version) not in left
            and (key, version) not in self.taken
            and key not in self.perhaps_taken
        ]
        return faults
