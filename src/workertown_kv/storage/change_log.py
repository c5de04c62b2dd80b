"""Keep changes in memory, and wake those who wait for the next change."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

from ..errors import CursorGone, InputError
from ..operations import Change, ChangePage, ReadChanges
from .contract import Retention

_SLACK: Final = 1000
"""How many changes beyond the limit are kept, so that removing them costs little."""


class Position(msgspec.Struct, frozen=True):
    """A position in a log: after the change with this number."""

    log: str
    """The identity of the log. Another log has other changes under the same numbers."""
    number: int

    @property
    def cursor(self) -> str:
        """The text of the position."""
        return f"{self.log}.{self.number}"

    @classmethod
    def of(cls, cursor: str) -> "Position":
        """Return the position of a cursor. Raises `InputError` for text that is no cursor."""
        log, _, number = cursor.partition(".")
        if not (log and number.isascii() and number.isdigit() and len(number) < 20):
            raise InputError("This is no cursor of changes; expected a cursor from an earlier page")
        return cls(log, int(number))


def new_log() -> str:
    """Return the identity of a new log."""
    return secrets.token_hex(8)


class ChangeLog:
    """Keeps changes in a list, within the limits of `retention`."""

    def __init__(self) -> None:
        self.retention: Retention | None = Retention()
        self._log = new_log()
        self._changes: list[Change] = []
        self._times: list[float] = []
        """When each change was added."""
        self._removed = 0
        """How many changes the log had before those that it keeps."""

    def __len__(self) -> int:
        """Return the number of the last change."""
        return self._removed + len(self._changes)

    def add(self, change: Change, now: float) -> None:
        """Add a change, and remove changes that need not be kept."""
        self._changes.append(change)
        self._times.append(now)
        if self.retention is not None and len(self._changes) > self.retention.entries + _SLACK:
            self._remove(len(self._changes) - self.retention.entries)

    def undo_to(self, length: int) -> None:
        """Remove the changes after the one with this number, which never happened."""
        del self._changes[length - self._removed :]
        del self._times[length - self._removed :]

    def remove_old(self, now: float) -> None:
        """Remove changes that are older than the retention."""
        if self.retention is None:
            self._remove(len(self._changes))
            return
        before = now - self.retention.seconds
        old = 0
        while old < len(self._times) and self._times[old] <= before:
            old += 1
        self._remove(old)

    def page(self, operation: ReadChanges) -> ChangePage:
        """Return the changes after a cursor, without waiting."""
        position = Position(self._log, len(self))
        if operation.since is not None:
            position = Position.of(operation.since)
            if position.log != self._log or not self._removed <= position.number <= len(self):
                raise CursorGone
        begin = position.number - self._removed
        changes: Sequence[Change] = self._changes[begin : begin + operation.limit]
        cursors = [f"{self._log}.{position.number + i + 1}" for i in range(len(changes))]
        end = position.number + len(changes)
        cursor = cursors[-1] if cursors else position.cursor
        return ChangePage(changes, cursor, end == len(self), cursors)

    def _remove(self, count: int) -> None:
        del self._changes[:count]
        del self._times[:count]
        self._removed += count


class Waiting:
    """Lets tasks wait until something changes."""

    def __init__(self) -> None:
        self._futures: set[asyncio.Future[None]] = set()

    def __bool__(self) -> bool:
        return bool(self._futures)

    def wake(self) -> None:
        """Wake all tasks that wait."""
        for future in self._futures:
            # A loop that has ended may have left the future of a task of its own.
            if not future.done() and not future.get_loop().is_closed():
                future.set_result(None)

    async def wait(self, seconds: float) -> bool:
        """Wait until `wake`, at most this long. Return whether a task was woken."""
        future = asyncio.get_running_loop().create_future()
        self._futures.add(future)
        try:
            await asyncio.wait([future], timeout=seconds)
        finally:
            self._futures.discard(future)
        return future.done()
