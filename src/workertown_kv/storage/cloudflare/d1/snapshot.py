"""Entries as they were at one moment, and what a batch makes of them."""

from collections.abc import Mapping

from ....entry import Entry
from ....errors import PreconditionFailed
from ....operations import Delete, Get, Set
from ...version import new_version
from .rows import Place, place


class Snapshot:
    """Entries as they were found, and what becomes of them; `run_batch` works on it."""

    def __init__(self, found: Mapping[Place, Entry | bool], now: float) -> None:
        self.written: dict[Place, Entry | None] = {}
        self._there = dict(found)
        self._now = now

    def get_up_to(self, operation: Get, value_bytes: int) -> Entry | bool | None:
        """See `batch.Table`; `False` too where the value was left out."""
        entry = self._there.get(place(operation))
        if isinstance(entry, Entry) and len(entry.value) > value_bytes:
            return False
        return entry

    def set(self, operation: Set) -> str:
        """See `batch.Table`."""
        at = self._checked(operation)
        entry = self.written[at] = operation.entry(new_version())
        if entry.expires_at is None or entry.expires_at > self._now:
            self._there[at] = entry
        else:
            self._there.pop(at, None)
        return entry.version

    def delete(self, operation: Delete) -> None:
        """See `batch.Table`."""
        at = self._checked(operation)
        self.written[at] = None
        self._there.pop(at, None)

    def _checked(self, operation: Set | Delete) -> Place:
        at = place(operation)
        entry = self._there.get(at)
        version = entry.version if isinstance(entry, Entry) else None
        if operation.precondition is not None and not operation.precondition.holds(version):
            raise PreconditionFailed
        return at
