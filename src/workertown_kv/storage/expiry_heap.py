"""Keep the times at which entries expire, for a storage that has them in memory."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

FEWEST: Final = 1000
"""How many times are kept without a look at which of them are out of date."""

Expiry = tuple[float, str, str]
"""When an entry expires, and its namespace and key."""


class ExpiryHeap:
    """Keeps the times at which entries expire, the earliest first.

    An entry that is written again gets another time, and the old one is out of date. Times that are
    out of date are removed once they may be more than the others: so an entry that is written often
    takes no more memory than others, and adding a time costs O(log n) on average.
    """

    def __init__(self, is_current: Callable[[Expiry], bool]) -> None:
        self._is_current = is_current
        self._expiries: list[Expiry] = []
        self._most = FEWEST

    def __len__(self) -> int:
        return len(self._expiries)

    def add(self, expiry: Expiry) -> None:
        """Add the time of an entry, which must be current."""
        heappush(self._expiries, expiry)
        if len(self._expiries) > self._most:
            self._expiries = list(filter(self._is_current, set(self._expiries)))
            heapify(self._expiries)
            self._most = max(FEWEST, 2 * len(self._expiries))

    @property
    def first(self) -> float | None:
        """The earliest time, `None` if there is none."""
        return self._expiries[0][0] if self._expiries else None

    def pop(self, until: float) -> Expiry | None:
        """Remove and return the earliest, `None` if it is later than `until`."""
        if not self._expiries or self._expiries[0][0] > until:
            return None
        return heappop(self._expiries)
