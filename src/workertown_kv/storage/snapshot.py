"""Entries as they were found at one moment, and what a batch makes of them.

For engines that get all writes of a batch at once, after everything that these depend on was read.
"""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import msgspec

from ..entry import Entry
from ..errors import PreconditionFailed
from ..operations import Delete, Get, Operation, Set
from .version import new_version

_Place = TypeVar("_Place")


class Found(msgspec.Struct, frozen=True):
    """An entry that is there; `entry` is `False` where its value was not read."""

    version: str
    entry: Entry | bool


class Snapshot(Generic[_Place]):
    """Entries as they were found, and what becomes of them; `run_batch` works on it.

    `place` says where an operation's entry is.
    """

    def __init__(
        self, found: Mapping[_Place, Found], place: Callable[[Operation], _Place], now: float
    ) -> None:
        self.written: dict[_Place, Entry | None] = {}
        self._there = dict(found)
        self._place = place
        self._now = now

    @property
    def is_whole(self) -> bool:
        """Whether it has the value of every entry."""
        return not any(isinstance(one.entry, bool) for one in self._there.values())

    def get_up_to(self, operation: Get, value_bytes: int) -> Entry | bool | None:
        """See `batch.Table`; `False` too where the value was left out."""
        found = self._there.get(self._place(operation))
        if found is None:
            return None
        if isinstance(found.entry, bool) or len(found.entry.value) > value_bytes:
            return False
        return found.entry

    def set(self, operation: Set) -> str:
        """See `batch.Table`."""
        at = self._checked(operation)
        entry = self.written[at] = operation.entry(new_version())
        if entry.expires_at is None or entry.expires_at > self._now:
            self._there[at] = Found(entry.version, entry)
        else:
            self._there.pop(at, None)
        return entry.version

    def delete(self, operation: Delete) -> None:
        """See `batch.Table`."""
        at = self._checked(operation)
        self.written[at] = None
        self._there.pop(at, None)

    def _checked(self, operation: Set | Delete) -> _Place:
        at = self._place(operation)
        found = self._there.get(at)
        condition = operation.precondition
        if condition is not None and not condition.holds(found.version if found else None):
            raise PreconditionFailed
        return at
