"""Find out whether a storage works, by checks and by the failures of requests."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import msgspec

from ..errors import StorageError, StorageFailure, StorageUnavailable, StorageUnsupported
from ..failure_log import QUIET_SECONDS, FailureLog
from ..meters.catalogue import FAILURES, USABLE
from ..meters.metric import Measurement
from .contract import Clock, Storage

READ_SECONDS: Final = 2.0
"""How long a storage may take to answer a read before it counts as unreachable."""
WRITE_SECONDS: Final = 5.0
"""How long a storage may take to show that it accepts writes. Other writers may hold a lock."""
FRESH_SECONDS: Final = 1.0
"""How long a good result counts, and how soon a storage that fails is checked again."""
PATIENCE_SECONDS: Final = 0.03
"""How long a request for the health waits for a new result."""

_LATE_SECONDS: Final = 0.5
_TRIES: Final = 3
_MESSAGE_CHARACTERS: Final = 500


class LastFailure(msgspec.Struct, frozen=True):
    """The last failure, for administrators."""

    kind: StorageFailure
    message: str
    at: str


class HealthReport(msgspec.Struct, frozen=True):
    """The health of a storage, for administrators."""

    reads: str
    """`OK`, or the kind of failure."""
    writes: str
    last_failure: LastFailure | None


class Health:
    """Checks a storage, and logs its failures.

    If the process runs between requests (`background`), `run` checks the storage every
    `Storage.probe_seconds`; after a failure at once, and then every second. A request for the
    health also starts a check, but waits only a moment for the result. Without `background`, each
    request for the health checks the storage.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        background: bool = True,
        clock: Clock = time.monotonic,
        log: FailureLog | None = None,
    ) -> None:
        self._storage = storage
        self._background = background
        self._clock = clock
        self._log = log or FailureLog(clock)
        unchecked = StorageUnavailable("The storage has not answered yet")
        self._is_open = True
        self._reads: StorageError | None = unchecked
        self._writes: StorageError | None = unchecked
        self._checked_at: float | None = None
        """When the last check ended."""
        self._checking: asyncio.Task[None] | None = None
        self._suspected = asyncio.Event()
        self._last: LastFailure | None = None
        self._failures: Counter[StorageFailure] = Counter()

    async def reads(self) -> StorageFailure | None:
        """Return why entries cannot be read, `None` if they can."""
        await self._refresh()
        return self._reads.kind if self._reads else None

    async def writes(self) -> StorageFailure | None:
        """Return why entries cannot be read or cannot be written, `None` if both work."""
        await self._refresh()
        return self._writes.kind if self._writes else None

    async def report(self) -> HealthReport:
        """Return the health for administrators."""
        await self._refresh()
        reads, writes = (error.kind if error else "OK" for error in (self._reads, self._writes))
        return HealthReport(reads, writes, self._last)

    def measurements(self) -> Iterator[Measurement]:
        """Return what the last check found, and the failures until now."""
        if self._checked_at is not None or not self._is_open:
            yield Measurement(USABLE, self._reads is None, ("reads",))
            yield Measurement(USABLE, self._writes is None, ("writes",))
        for kind in StorageFailure:
            yield Measurement(FAILURES, self._failures[kind], (kind,))

    def failed(self, error: StorageError) -> None:
        """Log the failure of a request, and have the storage checked soon."""
        if not isinstance(error, StorageUnsupported):
            self._note(error)
            self._suspected.set()

    def not_opened(self, error: StorageError) -> None:
        """Take note that the storage could not be opened, so that it cannot be checked."""
        self._note(error)
        self._reads = self._writes = error
        self._is_open = False

    def opened(self) -> None:
        """Take note that the storage is open, and can be checked."""
        self._is_open = True

    async def run(self) -> None:
        """Check the storage repeatedly, until cancelled."""
        self._suspected = asyncio.Event()  # for the event loop that runs now
        while True:
            await asyncio.wait([self._shared_check()])
            await asyncio.sleep(FRESH_SECONDS)
            if self._writes is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._storage.probe_seconds - FRESH_SECONDS):
                        await self._suspected.wait()

    async def stop(self) -> None:
        """End the check that is under way."""
        checking, self._checking = self._checking, None
        if checking is not None and checking.get_loop() is asyncio.get_running_loop():
            checking.cancel()
            await asyncio.wait([checking])

    async def _refresh(self) -> None:
        """Check the storage, unless it worked a moment ago, and wait a moment for the result."""
        age = float("inf") if self._checked_at is None else self._clock() - self._checked_at
        if not self._is_open:
            return
        is_well = self._writes is None and not self._suspected.is_set()
        if is_well and age < FRESH_SECONDS:
            return
        if not self._background:
            # In a Cloudflare Worker, a request must not wait for a task of another request.
            await self._check()
            return
        # If the last check is older than `run` allows, the process was frozen, as on AWS Lambda.
        is_recent = age < self._storage.probe_seconds + READ_SECONDS + WRITE_SECONDS + FRESH_SECONDS
        patience = PATIENCE_SECONDS if is_recent else READ_SECONDS
        await asyncio.wait([self._shared_check()], timeout=patience)

    def _shared_check(self) -> asyncio.Task[None]:
        """Return the check that is under way, or start it."""
        running = asyncio.get_running_loop()
        checking = self._checking
        if checking is None or checking.done() or checking.get_loop() is not running:
            checking = self._checking = asyncio.create_task(self._check())
        return checking

    async def _check(self) -> None:
        self._suspected.clear()
        was_down = self._last is not None and self._writes is not None
        self._reads = await _outcome(
            self._storage.check, READ_SECONDS, StorageFailure.UNREACHABLE, "answer a read"
        )
        self._writes = self._reads or await _outcome(
            self._storage.probe, WRITE_SECONDS, StorageFailure.BUSY, "say whether it takes writes"
        )
        self._checked_at = self._clock()
        if self._writes is not None:
            self._note(self._writes)
        elif was_down:
            self._log.recovered("The storage works again: entries can be read and written")
        else:
            # Requests failed, but no check did. Only the lack of further failures shows the end.
            self._log.recovered(
                f"No request has met a failure of the storage for {QUIET_SECONDS:.0f} s",
                after_seconds=QUIET_SECONDS,
            )

    def _note(self, error: StorageError) -> None:
        self._failures[error.kind] += 1
        message = _described(error)
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._last = LastFailure(error.kind, message, at)
        self._log.failed(error.kind, f"Storage failure ({error.kind}): {message}")


async def _outcome(
    check: Callable[[], Awaitable[None]], seconds: float, late: StorageFailure, what: str
) -> StorageError | None:
    """Return the error with which a check failed, `None` if it succeeded."""
    now = asyncio.get_running_loop().time
    for _ in range(_TRIES):
        began = now()
        try:
            async with asyncio.timeout(seconds):
                await check()
        except TimeoutError:
            if now() - began < seconds + _LATE_SECONDS:
                break
            # The event loop did not run: the process was frozen, or busy. The answer may be there.
        except StorageError as error:
            return error.with_traceback(None)
        except Exception as error:  # noqa: BLE001  (a storage may raise anything)
            failure = StorageError("The storage failed")
            failure.__cause__ = error.with_traceback(None)
            return failure
        else:
            return None
    return StorageUnavailable(f"The storage did not {what} within {seconds:g} s", late)


def _described(error: StorageError) -> str:
    """Describe a failure in one line, with the words of the engine."""
    text = error.message
    cause = error.__cause__
    if cause is not None and str(cause) not in text:
        text += f" ({type(cause).__name__}: {cause})"
    return " ".join(text.split())[:_MESSAGE_CHARACTERS]
