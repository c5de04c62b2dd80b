"""Trace requests and the operations of their storage."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Thread
from typing import Final, Protocol

from ..http.exchange import Exchange

FLUSH_SECONDS: Final = 5.0
"""How long the end of a server may wait for a collector."""

THREAD_NAME: Final = "workertown-kv-last-traces"
"""The name of the thread that sends what is left."""


class Recorder(Protocol):
    """Records spans and durations, and sends them from threads of its own."""

    def request(self, exchange: Exchange) -> AbstractContextManager[None]:
        """Record a request, from its beginning to the end of its answer."""

    def operation(
        self, name: str, system: str, size: int | None
    ) -> AbstractContextManager[Sequence[tuple[bytes, bytes]]]:
        """Record an operation, and return the header fields that pass its span on.

        `size` is the number of operations in a batch.
        """

    def shut_down(self) -> None:
        """Send what is left. This blocks."""


class Tracing:
    """Records the requests of a server.

    The recorder is made by the first request, since its threads must belong to the process that
    answers requests: `serve` makes a server in its main process too.
    """

    def __init__(self, make: Callable[[], Recorder]) -> None:
        self._make = make
        self._recorder: Recorder | None = None

    @property
    def recorder(self) -> Recorder:
        """Return the recorder of this process."""
        if self._recorder is None:
            self._recorder = self._make()
        return self._recorder

    async def close(self) -> None:
        """Send what is left, for `FLUSH_SECONDS` at most. The object can be used again."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            # The end of the process waits for threads, but not for daemons.
            sending = Thread(target=recorder.shut_down, name=THREAD_NAME, daemon=True)
            sending.start()
            await asyncio.to_thread(sending.join, FLUSH_SECONDS)
