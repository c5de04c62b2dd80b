"""Log a repeated failure at most once a minute, however many requests it affects."""

import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

QUIET_SECONDS: Final = 60.0
"""How long failures of a kind are counted without a line, after a line about that kind."""

_LOG: Final = logging.getLogger("workertown_kv")


class FailureLog:
    """Logs the failures of one component by kind, and logs once that it works again.

    The next line about the same kind follows after `QUIET_SECONDS` at the earliest, and has the
    number of failures in between.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._series: dict[str, _Series] = {}

    def failed(self, kind: str, message: str, *, traceback_of: Exception | None = None) -> None:
        """Log a failure as a warning, or only count it."""
        now = self._clock()
        series = self._series.get(kind)
        if series is None:
            self._series[kind] = _Series(now, now, now)
        else:
            series.last = now
            series.count += 1
            if now - series.logged < QUIET_SECONDS:
                series.unlogged += 1
                return
            if series.unlogged:
                seconds = now - series.logged
                message += f" ({series.unlogged:,} more in the {seconds:.0f} s before)"
            series.logged, series.unlogged = now, 0
        _LOG.warning("%s", message, exc_info=traceback_of)

    def recovered(self, message: str, *, after_seconds: float = 0) -> None:
        """Log that the component works again, if failures were logged before.

        Does nothing if the last failure was less than `after_seconds` ago.
        """
        if not self._series:
            return
        every = self._series.values()
        if self._clock() - max(series.last for series in every) < after_seconds:
            return
        count = sum(series.count for series in every)
        seconds = self._clock() - min(series.began for series in every)
        failures = "1 failure" if count == 1 else f"{count:,} failures"
        _LOG.warning("%s (%s, the first %.0f s ago)", message, failures, seconds)
        self._series.clear()


class _Series(msgspec.Struct):
    """The failures of one kind since the last recovery."""

    began: float
    logged: float
    last: float
    count: int = 1
    unlogged: int = 0
