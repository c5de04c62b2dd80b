"""Counts in this process's memory."""

import time
from collections import OrderedDict
from typing import Final

from .counting import Count, Counting, WindowsAlone, still_counted
from .limiter import Clock

MOST_CLIENTS: Final = 100_000
"""Of more clients, those whose window began first are forgotten."""


class _Window:
    __slots__ = ("current", "previous", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.previous = 0
        self.current = 0


class MemoryCounts(Counting, WindowsAlone):
    """What `limits` has for this looks at all clients with each request; this costs O(1)."""

    def __init__(self, clock: Clock = time.monotonic, *, most: int = MOST_CLIENTS) -> None:
        super().__init__()
        self._clock = clock
        self._most = most
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        """In the order in which they began."""

    async def count(self, key: str, limit: int, expiry: int, amount: int) -> Count:
        now, length = int(self._clock() * 1000), expiry * 1000
        window = self._begun(key, now, length)
        fading = window.start + length - now if window.previous else 0
        used = window.current + still_counted(window.previous, fading, length)
        allowed = used + amount <= limit
        if allowed:
            window.current += amount
        left = window.start + 2 * length - now
        return Count(allowed, window.previous, fading, window.current, left)

    async def close(self) -> None:
        """Counts stay: a server that is opened again goes on with them."""

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        self._windows.pop(key, None)

    def __len__(self) -> int:
        return len(self._windows)

    def _begun(self, key: str, now: int, length: int) -> _Window:
        """The window of a client in which it is now."""
        window = self._windows.get(key)
        if window is not None:
            passed = now - window.start
            if passed < length:
                return window
            if passed < 2 * length:
                window.start += length
                window.previous, window.current = window.current, 0
                self._windows.move_to_end(key)
                return window
            del self._windows[key]
        self._forget(now - 2 * length)
        window = self._windows[key] = _Window(now)
        return window

    def _forget(self, before: int) -> None:
        """Make room for a window; two that are over go for each new one, so none pile up."""
        for _ in range(2):
            oldest = next(iter(self._windows.values()), None)
            if oldest is None or (len(self) < self._most and oldest.start > before):
                return
            self._windows.popitem(last=False)
