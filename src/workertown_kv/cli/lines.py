"""Write lines of output in a thread, so that no request waits for them.

A program that reads the output of a server may stop reading without going away. A server that
waited for it would stop answering, so lines beyond a bound are dropped and counted.
"""

import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.util import Finalize
from typing import Final

MOST_CHARACTERS: Final = 1024 * 1024
"""How much text may wait to be written."""

LAST_SECONDS: Final = 2.0
"""How long the process waits, when it ends, for lines that are not written yet."""

GATHER_SECONDS: Final = 0.02
"""How long lines may gather, since waking the thread costs a request more than its line."""

_PIECE_BYTES: Final = 4096
"""What a pipe takes at once (PIPE_BUF), so that the lines of several processes stay whole."""

_LOG: Final = logging.getLogger("workertown_kv")


class Lines:
    """Writes the lines of all threads of this process to one file descriptor, in order.

    When the process ends, it writes the remaining lines, unless that takes longer than
    `LAST_SECONDS`.
    """

    def __init__(self, descriptor: int, *, most: int = MOST_CHARACTERS) -> None:
        self.descriptor = descriptor
        self._most = most
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """Start empty: a forked process has neither the thread nor its lock."""
        # Reentrant: a finalizer may log between any two steps.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._waiting: list[str] = []
        self._characters = 0
        self._dropped = 0
        self._is_urgent = False
        self._writer: threading.Thread | None = None
        self._is_over = False

    def write(self, text: str) -> None:
        """Queue whole lines for the thread, or drop them if too much is waiting already."""
        with self._lock:
            if self._is_over:
                self._put(text)
                return
            if self._characters + len(text) > self._most:
                self._dropped += 1
                return
            self._waiting.append(text)
            self._characters += len(text)
            if len(self._waiting) == 1:
                if self._writer is None:
                    self._start()
                self._changed.notify_all()

    @property
    def is_waiting(self) -> bool:
        """Whether lines wait to be written, in front of others."""
        return self._characters > 0

    def flush(self) -> None:
        """Let the thread write at once: `logging` calls this after each record."""
        with self._changed:
            self._is_urgent = True
            self._changed.notify_all()

    def _start(self) -> None:
        # A daemon, for which the end of the process does not wait: the reader of the output may
        # never come back.
        self._writer = threading.Thread(target=self._write_all, name="log", daemon=True)
        # The new thread inherits the signal mask of this one. It must not receive a signal for
        # which another thread waits.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self._writer.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        # Unlike atexit, this also runs at the end of processes that multiprocessing has forked.
        Finalize(None, self._end, exitpriority=0)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                self._changed.wait_for(lambda: self._is_urgent, GATHER_SECONDS)
                self._is_urgent = False
                gathered, self._waiting = self._waiting, []
            for piece in pieces(gathered):
                self._put(piece)
                with self._changed:
                    self._characters -= len(piece)
                    dropped, self._dropped = self._dropped, 0
                    self._changed.notify_all()
                if dropped:
                    _LOG.warning("%d lines were dropped, because nobody read the output", dropped)

    def _put(self, text: str) -> None:
        left = text.encode(errors="backslashreplace")
        # The program that read the output may be gone; the server still answers requests.
        with suppress(OSError):
            while left:
                left = left[os.write(self.descriptor, left) :]

    def _end(self) -> None:
        with self._changed:
            self._is_over = self._changed.wait_for(lambda: not self._characters, LAST_SECONDS)


def pieces(texts: Sequence[str]) -> Iterator[str]:
    """Join texts into pieces of at most `_PIECE_BYTES`; a longer text stays whole."""
    first = size = 0
    for index, text in enumerate(texts):
        if size and size + len(text) > _PIECE_BYTES:
            yield "".join(texts[first:index])
            first, size = index, 0
        size += len(text)
    yield "".join(texts[first:])


STDOUT: Final = Lines(1)
STDERR: Final = Lines(2)
