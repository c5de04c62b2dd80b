"""Write the lines of requests from the event loop, as long as that cannot block it.

A thread that writes beside a busy event loop makes it hand over the interpreter lock again and
again, which costs a request more than everything else does.
"""

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.util import Finalize
from typing import Final

from .lines import GATHER_SECONDS, STDOUT, Lines, pieces

Write = Callable[[bytes], int]
"""Writes bytes and returns how many. Raises `BlockingIOError` instead of waiting for a reader."""


class LoopLines:
    """Gathers lines, and writes them together; `lines` gets them if writing would block."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """Start empty: what a process gathered before a fork, it writes itself."""
        self._gathered: list[str] = []
        self._write: Write | None = None
        self._is_started = False

    def write(self, text: str) -> None:
        """Gather a line, to be written within `GATHER_SECONDS`."""
        self._gathered.append(text)
        if len(self._gathered) == 1:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()
                return
            if not self._is_started:
                self._is_started = True
                self._write = writes_without_waiting(self._lines.descriptor)
                # Before `Lines` waits for the lines that it has.
                Finalize(None, self.flush, exitpriority=1)
            loop.call_later(GATHER_SECONDS, self.flush)

    def flush(self) -> None:
        """Write everything that was gathered."""
        gathered, self._gathered = self._gathered, []
        if not gathered:
            return
        if self._write is None or self._lines.is_waiting:
            for line in gathered:
                self._lines.write(line)
            return
        for piece in pieces(gathered):
            left = piece.encode(errors="backslashreplace")
            if not self._lines.is_waiting:
                left = left[self._written(left) :]
            if left:
                for line in left.decode(errors="replace").splitlines(keepends=True):
                    self._lines.write(line)

    def _written(self, data: bytes) -> int:
        assert self._write is not None
        try:
            return self._write(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # the program that read the output is gone


def writes_without_waiting(descriptor: int) -> Write | None:
    """Return what writes to a file descriptor without waiting, `None` if nothing can.

    The flags of the descriptor stay, since other processes share them.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return lambda data: os.write(descriptor, data)
    with suppress(OSError):
        if stat.S_ISSOCK(mode):
            connection = socket.socket(fileno=os.dup(descriptor))
            return lambda data: connection.send(data, socket.MSG_DONTWAIT)
        # Linux opens a pipe or a terminal again by this name, with flags of its own.
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        opened = os.open(f"/proc/self/fd/{descriptor}", flags)
        return lambda data: os.write(opened, data)
    return None


REQUESTS: Final = LoopLines(STDOUT)
"""The lines of requests."""
