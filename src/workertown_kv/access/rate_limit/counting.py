"""The sliding window counter of `limits`, with stores that tell what is left in the same step.

Importing this needs the extra packages of `access.rate_limit`.

A window begins with the first request of a client. What was counted in the window before still
counts, less and less: as if those requests had been spread evenly over it.
"""

from abc import ABC, abstractmethod
from hashlib import blake2b
from typing import Final, NoReturn

import msgspec
from limits import RateLimitItemPerSecond
from limits.aio.storage import SlidingWindowCounterSupport, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from .allowance import Allowance

PREFIX: Final = "workertown-kv"
"""What the keys in a shared store begin with."""

_LONGEST_NAME: Final = 100


class Count(msgspec.Struct, frozen=True):
    """What is counted for a client after a request; times are in milliseconds."""

    allowed: bool
    previous: int
    """The requests in the window before."""
    fading: int
    """How long some of them still count."""
    current: int
    """The requests in this window."""
    left: int
    """How long they are kept: to the end of this window, and for the whole of the next."""

    def allowance(self, limit: int, seconds: int) -> Allowance:
        """What that comes to, for a limit in a window of so many seconds."""
        window = seconds * 1000
        still = still_counted(self.previous, self.fading, window)
        if still:
            more_in = self.fading - still * window // self.previous
        else:
            more_in = max(self.left - window, 0)
        return Allowance(self.allowed, max(limit - still - self.current, 0), -(-more_in // 1000))


def still_counted(previous: int, fading: int, window: int) -> int:
    """How many requests of the window before still count.

    One stops to count from the very millisecond on in which its turn is over. So who waits for
    as long as an answer says is let in.
    """
    return max((previous * fading - 1) // window, 0)


class Counting(ABC):
    """What makes a store of `limits` count, and tell the count, in one step."""

    @abstractmethod
    async def count(self, key: str, limit: int, expiry: int, amount: int) -> Count:
        """Count so many requests in a window of `expiry` seconds, unless they exceed the limit."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections; the next request makes new ones."""

    async def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        return (await self.count(key, limit, expiry, amount)).allowed

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        count = await self.count(key, 0, expiry, 0)
        return count.previous, count.fading / 1000, count.current, count.left / 1000


class WindowsAlone(Storage, SlidingWindowCounterSupport):
    """The rest of what `limits` asks of a store, where the store has sliding windows alone."""

    @property
    def base_exceptions(self) -> type[Exception]:
        return Exception

    async def incr(self, key: str, expiry: int, amount: int = 1) -> NoReturn:
        raise NotImplementedError

    async def get(self, key: str) -> NoReturn:
        raise NotImplementedError

    async def get_expiry(self, key: str) -> NoReturn:
        raise NotImplementedError

    async def clear(self, key: str) -> NoReturn:
        raise NotImplementedError

    async def reset(self) -> NoReturn:
        raise NotImplementedError

    async def check(self) -> bool:
        return True


class Counter(SlidingWindowCounterRateLimiter):
    """The limiter of `limits`, for one limit. It asks the store once for each request."""

    def __init__(self, storage: Storage, limit: int, window: int) -> None:
        super().__init__(storage)
        assert isinstance(storage, Counting)
        self._counting: Counting = storage
        self._item = RateLimitItemPerSecond(limit, window, "rate-limit")

    async def take(self, client: str) -> Allowance:
        """Count a request of the client."""
        key = self._item.key_for(_short(client))
        limit, window = self._item.amount, self._item.get_expiry()
        return (await self._counting.count(key, limit, window, 1)).allowance(limit, window)

    async def close(self) -> None:
        """Let go of connections."""
        await self._counting.close()


def _short(client: str) -> str:
    """The name, or a digest where it is long, or is more than what every store takes in a key."""
    if len(client) <= _LONGEST_NAME and client.isascii() and client.isprintable():
        return client
    raw = client.encode("utf-8", "surrogatepass")
    return f"digest:{blake2b(raw, digest_size=32).hexdigest()}"
