"""Who decides: the count in this process, a shared store, or a function of the user's own."""

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from math import ceil
from typing import Any, Final, Protocol

from ...failure_log import QUIET_SECONDS, FailureLog
from ...options import RateLimitOptions
from .allowance import Allowance

Clock = Callable[[], float]
"""Seconds, from wherever."""

ANSWER_SECONDS: Final = 1.0
"""How long a store, or a function of the user's own, may take."""
PAUSE_SECONDS: Final = 5.0
"""A store that failed is asked again after this."""


class Counter(Protocol):
    """Where requests are counted: here, or in a store."""

    async def take(self, client: str) -> Allowance:
        """Count a request of the client."""

    async def close(self) -> None:
        """Let go of connections."""


class Limiter:
    """Counts in this process. It is never down, so the others fall back on it."""

    def __init__(self, options: RateLimitOptions, local: Counter, clock: Clock) -> None:
        self.by = options.by
        self.policy = f'"default";q={options.limit};w={options.window}'
        """The value of the `RateLimit-Policy` field."""
        self._local = local
        self._clock = clock
        self._log = FailureLog(clock)

    async def take(self, client: str) -> Allowance:
        """Count a request of the client."""
        return await self._local.take(client)

    async def close(self) -> None:
        """Let go of connections; the next request makes new ones."""

    def _warn(self, message: str, error: Exception, *, with_traceback: bool = False) -> None:
        """Log what went wrong, but not once for each request."""
        name = type(error).__name__
        reason = f"{name}: {error}".removesuffix(": ")
        self._log.failed(name, message % reason, traceback_of=error if with_traceback else None)


class StoreLimiter(Limiter):
    """Counts in a store that others share, and in this process while that is down."""

    def __init__(
        self, options: RateLimitOptions, local: Counter, clock: Clock, shared: Counter
    ) -> None:
        super().__init__(options, local, clock)
        self._shared = shared
        self._asked_again_at: float | None = None
        """When it is down."""

    async def take(self, client: str) -> Allowance:
        if self._asked_again_at is not None:
            if self._clock() < self._asked_again_at:
                return await super().take(client)
            # This request finds out; those that come meanwhile need not wait with it.
            self._asked_again_at = self._clock() + PAUSE_SECONDS
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                allowance = await self._shared.take(client)
        except Exception as error:  # noqa: BLE001  (whatever it is, requests go on)
            self._asked_again_at = self._clock() + PAUSE_SECONDS
            self._warn(
                "The store of the rate limit does not answer (%s); each process counts by itself",
                error,
            )
            return await super().take(client)
        if self._asked_again_at is not None:
            self._asked_again_at = None
            self._log.recovered("The store of the rate limit answers again")
        return allowance

    async def close(self) -> None:
        await self._shared.close()


class HookLimiter(Limiter):
    """Asks a function of the user's own, and counts in this process where that fails."""

    def __init__(
        self,
        options: RateLimitOptions,
        local: Counter,
        clock: Clock,
        hook: Callable[[str], Any],
    ) -> None:
        super().__init__(options, local, clock)
        self._hook = hook
        self._window = options.window

    async def take(self, client: str) -> Allowance:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = self._hook(client)
                allowance = self._allowance(await answer if isawaitable(answer) else answer)
        except Exception as error:  # noqa: BLE001  (it is the user's own)
            self._warn(
                "The hook access.rate_limit.limiter failed (%s); requests are counted in process",
                error,
                with_traceback=True,
            )
            return await super().take(client)
        self._log.recovered(
            "The hook access.rate_limit.limiter works again", after_seconds=QUIET_SECONDS
        )
        return allowance

    def _allowance(self, answer: object) -> Allowance:
        if isinstance(answer, bool):
            return Allowance(answer, None if answer else 0, self._window)
        if not isinstance(answer, Allowance):
            raise TypeError(f"it answered {type(answer).__name__}; expected a bool or an Allowance")
        # The fields of an answer have whole numbers of at least 0.
        remaining = None if answer.remaining is None else max(int(answer.remaining), 0)
        return Allowance(bool(answer.allowed), remaining, max(ceil(answer.retry_after), 0))
