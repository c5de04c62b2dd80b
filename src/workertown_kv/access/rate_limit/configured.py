"""From the options to the limiter. The only place that knows the stores by name."""

import time
from typing import TYPE_CHECKING, Final

from ...errors import MissingExtra, OptionsError
from ...options import Options, RateLimitOptions
from .limiter import Clock, HookLimiter, Limiter, StoreLimiter

if TYPE_CHECKING:
    from limits.aio.storage import Storage

_ACCEPTED: Final = (
    "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss://… for the same with TLS, "
    "upstash://TOKEN@HOST, or upstash+http://TOKEN@HOST:PORT for a local stand-in"
)


def configured_limiter(options: Options, *, clock: Clock = time.monotonic) -> Limiter | None:
    """The limiter that the options, or the environment, ask for; `None` where it is off.

    Raises `OptionsError` for a store that cannot be, and `MissingExtra` where packages are missing.
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
    try:
        return _limiter(chosen, options, clock)
    except ModuleNotFoundError as error:
        raise MissingExtra("access.rate_limit", "rate-limit") from error


def _limiter(chosen: RateLimitOptions, options: Options, clock: Clock) -> Limiter:
    from .counting import Counter  # noqa: PLC0415  (a server without a limit never needs it)
    from .memory import MemoryCounts  # noqa: PLC0415

    local = Counter(MemoryCounts(clock), chosen.limit, chosen.window)
    if chosen.limiter is not None:
        return HookLimiter(chosen, local, clock, chosen.limiter)
    if chosen.store is not None:
        store = _store("access.rate_limit.store", chosen.store.reveal())
    else:
        url = options.environment(chosen.env.store)
        if url is None:
            return Limiter(chosen, local, clock)
        store = _store(chosen.env.store, url)
    return StoreLimiter(chosen, local, clock, Counter(store, chosen.limit, chosen.window))


def _store(source: str, url: str) -> "Storage":
    """The store at a URL. No message and no traceback shows what may be a secret in it."""
    try:
        match url.partition("://")[0].lower():
            case "redis" | "rediss":
                from .redis import RedisCounts  # noqa: PLC0415

                return RedisCounts(url)
            case "upstash" | "upstash+http":
                from .upstash import UpstashCounts  # noqa: PLC0415

                return UpstashCounts(url)
    except ValueError:
        pass
    raise OptionsError(f"{source} is no URL of a store; expected {_ACCEPTED}")
