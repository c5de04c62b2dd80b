"""Count requests in sliding windows: the arithmetic, and the counts in this process's memory.

A window begins with the first request of a client. The requests of the window before it still
count in part, less and less, as if they had been spread evenly over that window.
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Final, Protocol

import msgspec

Clock = Callable[[], float]
"""Returns seconds, from any start."""

MEMORY_CLIENTS: Final = 100_000
"""The most clients counted in memory; the client whose window began first is forgotten first."""

_NAME_CHARACTERS: Final = 100


class Allowance(msgspec.Struct, frozen=True):
    """Says whether a client may send a request, and how many more it may send after that."""

    allowed: bool
    remaining: int | None
    """How many more requests it may send now; `None` if that is not known."""
    retry_after: int
    """The seconds after which it may send more requests."""


class Counter(Protocol):
    """Counts the requests of clients, for one limit."""

    async def take(self, client: str) -> Allowance:
        """Count a request of the client, unless it is over the limit."""

    async def close(self) -> None:
        """Close all connections; the next request opens new ones."""


class Count(msgspec.Struct, frozen=True):
    """The counts of a client after a request; times are in milliseconds."""

    allowed: bool
    previous: int
    """The requests in the previous window."""
    fading: int
    """How long some of the previous requests still count."""
    current: int
    """The requests in the current window."""
    left: int
    """How long the current requests are kept: to the end of the next window."""

    def allowance(self, limit: int, seconds: int) -> Allowance:
        """Return what the counts leave of a limit for a window of `seconds`."""
        window = seconds * 1000
        faded = fading_requests(self.previous, self.fading, window)
        if faded:
            more_in = self.fading - faded * window // self.previous
        else:
            more_in = max(self.left - window, 0)
        return Allowance(self.allowed, max(limit - faded - self.current, 0), -(-more_in // 1000))


def fading_requests(previous: int, fading: int, window: int) -> int:
    """Return how many requests of the previous window still count.

    A request stops counting in the very millisecond in which its part of the window is over. The
    server therefore admits a client that waits as long as the answer says.
    """
    return max((previous * fading - 1) // window, 0)


def short_name(client: str) -> str:
    """Return the name of a client, or a digest if the name is long or not printable ASCII."""
    if len(client) <= _NAME_CHARACTERS and client.isascii() and client.isprintable():
        return client
    raw = client.encode("utf-8", "surrogatepass")
    return f"digest:{blake2b(raw, digest_size=32).hexdigest()}"


class _Window:
    __slots__ = ("current", "previous", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.previous = 0
        self.current = 0


class MemoryCounter:
    """Counts in this process's memory, at O(1) for each request."""

    def __init__(
        self, limit: int, seconds: int, clock: Clock, *, most_clients: int = MEMORY_CLIENTS
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self._length = seconds * 1000
        self._clock = clock
        self._most_clients = most_clients
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        """The window of each client, in the order in which they began."""

    def take(self, client: str) -> Allowance:
        """Count a request of the client, unless it is over the limit."""
        now = int(self._clock() * 1000)
        window = self._window(short_name(client), now)
        fading = window.start + self._length - now if window.previous else 0
        faded = fading_requests(window.previous, fading, self._length)
        allowed = window.current + faded < self._limit
        if allowed:
            window.current += 1
        left = window.start + 2 * self._length - now
        count = Count(allowed, window.previous, fading, window.current, left)
        return count.allowance(self._limit, self._seconds)

    def __len__(self) -> int:
        return len(self._windows)

    def _window(self, name: str, now: int) -> _Window:
        """Return the current window of a client."""
        window = self._windows.get(name)
        if window is not None:
            passed = now - window.start
            if passed < self._length:
                return window
            if passed < 2 * self._length:
                window.start += self._length
                window.previous, window.current = window.current, 0
                self._windows.move_to_end(name)
                return window
            del self._windows[name]
        self._forget(now - 2 * self._length)
        window = self._windows[name] = _Window(now)
        return window

    def _forget(self, before: int) -> None:
        """Make room for a window. Removes up to two old windows, so that they never pile up."""
        for _ in range(2):
            oldest = next(iter(self._windows.values()), None)
            if oldest is None or (len(self) < self._most_clients and oldest.start > before):
                return
            self._windows.popitem(last=False)
