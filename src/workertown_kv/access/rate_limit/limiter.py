"""Decide by the count of this process, by a shared store, or by the operator's function."""

import asyncio
import time
from collections.abc import Callable
from inspect import isawaitable
from math import ceil
from typing import Any, ClassVar, Final

from ...errors import MissingExtra, OptionsError
from ...failure_log import QUIET_SECONDS, FailureLog
from ...options import Options, RateLimitOptions
from .counting import Allowance, Clock, Counter, MemoryCounter

ANSWER_SECONDS: Final = 1.0
"""How long a store, or the operator's function, may take."""
PAUSE_SECONDS: Final = 5.0
"""How long the server does not ask a store again that has failed."""

_STORE_URLS: Final = (
    "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss://… for the same with TLS, "
    "upstash://TOKEN@HOST, or upstash+http://TOKEN@HOST:PORT for a local emulator"
)


class Limiter:
    """Counts in this process. It never fails, so the other limiters fall back on it."""

    needs_task: ClassVar[bool] = False
    """Whether `take` needs a running task, as `asyncio.timeout` does."""

    def __init__(self, options: RateLimitOptions, clock: Clock) -> None:
        self.by = options.by
        self.policy = f'"default";q={options.limit};w={options.window}'
        """The value of the `RateLimit-Policy` field."""
        self._local = MemoryCounter(options.limit, options.window, clock)
        self._clock = clock
        self._log = FailureLog(clock)

    async def take(self, client: str) -> Allowance:
        """Count a request of the client, unless it is over the limit."""
        return self._local.take(client)

    async def close(self) -> None:
        """Close all connections; the next request opens new ones."""

    def _warn(self, message: str, error: Exception, *, with_traceback: bool = False) -> None:
        """Log a failure, but not again for each request."""
        name = type(error).__name__
        reason = f"{name}: {error}".removesuffix(": ")
        self._log.failed(name, message % reason, traceback_of=error if with_traceback else None)


class StoreLimiter(Limiter):
    """Counts in a shared store, and in this process while the store is down."""

    needs_task = True

    def __init__(self, options: RateLimitOptions, clock: Clock, store: Counter) -> None:
        super().__init__(options, clock)
        self._store = store
        self._ask_again_at: float | None = None
        """When to ask the store again, while it is down."""

    async def take(self, client: str) -> Allowance:
        if self._ask_again_at is not None:
            if self._clock() < self._ask_again_at:
                return await super().take(client)
            # Only this request asks the store; requests that come meanwhile do not wait for it.
            self._ask_again_at = self._clock() + PAUSE_SECONDS
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                allowance = await self._store.take(client)
        except Exception as error:  # noqa: BLE001  (whatever it is, requests go on)
            self._ask_again_at = self._clock() + PAUSE_SECONDS
            self._warn(
                "The store of the rate limit does not answer (%s); each process counts by itself",
                error,
            )
            return await super().take(client)
        if self._ask_again_at is not None:
            self._ask_again_at = None
            self._log.recovered("The store of the rate limit answers again")
        return allowance

    async def close(self) -> None:
        await self._store.close()


class HookLimiter(Limiter):
    """Asks the operator's function, and counts in this process if it fails."""

    needs_task = True

    def __init__(self, options: RateLimitOptions, clock: Clock, hook: Callable[[str], Any]) -> None:
        super().__init__(options, clock)
        self._hook = hook
        self._window = options.window

    async def take(self, client: str) -> Allowance:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = self._hook(client)
                allowance = self._allowance(await answer if isawaitable(answer) else answer)
        except Exception as error:  # noqa: BLE001  (the operator's function may raise anything)
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
            raise TypeError(f"it returned {type(answer).__name__}; expected a bool or an Allowance")
        # The header fields of an answer have whole numbers of at least 0.
        remaining = None if answer.remaining is None else max(int(answer.remaining), 0)
        return Allowance(bool(answer.allowed), remaining, max(ceil(answer.retry_after), 0))


def configured_limiter(options: Options, *, clock: Clock = time.monotonic) -> Limiter | None:
    """Return the limiter that the options or the environment configure; `None` if it is off.

    Raises `OptionsError` for a malformed URL of a store, and `MissingExtra` if a package is
    missing.
    """
    chosen = options.access.rate_limit
    if not isinstance(chosen, RateLimitOptions):
        variable = RateLimitOptions().env.store
        if options.environment(variable):
            raise OptionsError(
                f"The variable {variable} is set, and access.rate_limit is off; expected "
                "KV_OPTIONS__ACCESS__RATE_LIMIT=true too, or neither"
            )
        return None
    if chosen.limiter is not None:
        return HookLimiter(chosen, clock, chosen.limiter)
    source = "access.rate_limit.store"
    url = None if chosen.store is None else chosen.store.reveal()
    if url is None:
        source = chosen.env.store
        url = options.environment(source)
    if url is None:
        return Limiter(chosen, clock)
    return StoreLimiter(chosen, clock, _store(source, url, chosen))


def _store(source: str, url: str, options: RateLimitOptions) -> Counter:
    """Return the store at a URL. No message and no traceback shows a secret of the URL."""
    try:
        from .stores import store_at  # noqa: PLC0415  (most servers have no store)

        return store_at(url, options.limit, options.window)
    except ModuleNotFoundError as error:
        raise MissingExtra(source, "redis>=7") from error
    except (OptionsError, ValueError):
        pass
    raise OptionsError(f"{source} is no URL of a store; expected {_STORE_URLS}")
