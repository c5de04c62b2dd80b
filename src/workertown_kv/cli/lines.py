"""Writes lines of output in a thread, so that no request waits for them.

A program that reads the output of a server may stop reading without going away. A server that
waited for it would stop answering, so lines beyond a bound are dropped and counted.
"""

import logging
import os
import signal
import threading
from collections import deque
from contextlib import suppress
from multiprocessing.util import Finalize
from typing import Final

MOST_CHARACTERS: Final = 1024 * 1024
"""How much text may wait to be written."""

LAST_SECONDS: Final = 2.0
"""How long the process waits, when it ends, for lines that are not written yet."""

_PIECE_BYTES: Final = 4096
"""What a pipe takes at once (PIPE_BUF), so that the lines of several processes stay whole."""

_LOG: Final = logging.getLogger("workertown_kv")


class Lines:
    """Writes the lines of all threads of this process to one file descriptor, in order.

    When the process ends, it writes the remaining lines, unless that takes longer than
    `LAST_SECONDS`.
    """

    def __init__(self, descriptor: int, *, most: int = MOST_CHARACTERS) -> None:
        self._descriptor = descriptor
        self._most = most
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """Start empty: a forked process has neither the thread nor its lock."""
        # Reentrant, as Condition makes it: a finalizer may log between any two steps.
        self._changed = threading.Condition()
        self._waiting: deque[str] = deque()
        self._characters = 0
        self._dropped = 0
        self._writer: threading.Thread | None = None
        self._is_over = False

    def write(self, text: str) -> None:
        """Queue whole lines for the thread, or drop them if too much is waiting already."""
        with self._changed:
            if self._is_over:
                self._put(text)
                return
            if self._characters + len(text) > self._most:
                self._dropped += 1
                return
            self._waiting.append(text)
            self._characters += len(text)
            if self._writer is None:
                self._start()
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
                piece = [self._waiting.popleft()]
                size = len(piece[0])
                while self._waiting and size + len(self._waiting[0]) <= _PIECE_BYTES:
                    piece.append(self._waiting.popleft())
                    size += len(piece[-1])
            self._put("".join(piece))
            with self._changed:
                self._characters -= size
                dropped, self._dropped = self._dropped, 0
                self._changed.notify_all()
            if dropped:
                _LOG.warning("%d lines were dropped, because nobody read the output", dropped)

    def _put(self, text: str) -> None:
        left = text.encode(errors="backslashreplace")
        # The program that read the output may be gone; the server still answers requests.
        with suppress(OSError):
            while left:
                left = left[os.write(self._descriptor, left) :]

    def _end(self) -> None:
        with self._changed:
            self._is_over = self._changed.wait_for(lambda: not self._characters, LAST_SECONDS)


STDOUT: Final = Lines(1)
STDERR: Final = Lines(2)
