"""Lines of output that nobody waits for: a thread writes them.

A program that reads the output of a server may stop reading without going away. A server that
waited for it would stop answering, so lines beyond a bound are dropped, and counted.
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
"""How much may wait to be written."""

LAST_SECONDS: Final = 2.0
"""How long the end of the process waits for what is still to be written."""

_PIECE_BYTES: Final = 4096
"""What a pipe takes in one piece (PIPE_BUF), so that lines of several processes stay whole."""

_LOG: Final = logging.getLogger("workertown_kv")


class Lines:
    """The lines for one file descriptor, from all threads of this process.

    They are written in the order in which they come. At the end of the process those that are left
    are written, unless that takes longer than `LAST_SECONDS`.
    """

    def __init__(self, descriptor: int, *, most: int = MOST_CHARACTERS) -> None:
        self._descriptor = descriptor
        self._most = most
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """Begin with nothing; a process that was forked has neither the thread nor its lock."""
        # Reentrant, as Condition makes it: a finalizer may log between any two steps.
        self._changed = threading.Condition()
        self._waiting: deque[str] = deque()
        self._characters = 0
        self._dropped = 0
        self._writer: threading.Thread | None = None
        self._is_over = False

    def write(self, text: str) -> None:
        """Have whole lines written, or drop them where too much is waiting already."""
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
        # Not one that the end of the process waits for: its reader may never come back.
        self._writer = threading.Thread(target=self._write_all, name="log", daemon=True)
        # It has the signal mask of the thread that starts it, and must take no signal from a thread
        # that waits for one.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self._writer.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        # Runs at the end of processes that multiprocessing has forked too, where atexit does not.
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
        # The program that read the output may be gone, which is no reason to stop answering.
        with suppress(OSError):
            while left:
                left = left[os.write(self._descriptor, left) :]

    def _end(self) -> None:
        with self._changed:
            self._is_over = self._changed.wait_for(lambda: not self._characters, LAST_SECONDS)


STDOUT: Final = Lines(1)
STDERR: Final = Lines(2)
