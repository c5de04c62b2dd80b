"""Run a batch on entries as they were read at one moment, and collect its writes.

This is for engines that get all writes of a batch at once, after all reads on which they depend.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ...entry import Entry
from ...errors import PreconditionFailed
from ...operations import Delete, Get, Operation, Set, Touch
from ..batch import touched
from ..version import new_version
from .rows import EntryKey, entry_key


class Found(msgspec.Struct, frozen=True):
    """An entry that exists; `entry` is `False` if its value was not read."""

    version: str
    expires_at: float | None
    entry: Entry | bool


class Step:
    """Writes on different keys, after which other writes on the same keys may follow."""

    def __init__(self) -> None:
        self.written: dict[EntryKey, Entry | None] = {}
        self.touched: dict[EntryKey, float | None] = {}
        """The new lifetimes of entries."""

    @property
    def kept(self) -> Sequence[tuple[EntryKey, Entry]]:
        """The entries to write."""
        return [(at, entry) for at, entry in self.written.items() if entry is not None]

    @property
    def removed(self) -> Sequence[EntryKey]:
        """The keys of the entries to remove."""
        return [at for at, entry in self.written.items() if entry is None]


class Snapshot:
    """The entries that were read, and their changes; `run_batch` works on it.

    `key_of` returns the entry key of an operation.
    """

    def __init__(
        self,
        found: Mapping[EntryKey, Found],
        now: float,
        key_of: Callable[[Operation], EntryKey] = entry_key,
    ) -> None:
        self.written: dict[EntryKey, Entry | None] = {}
        self.touched: dict[EntryKey, float | None] = {}
        """The new lifetimes of entries that are not written."""
        self.steps: list[Step] = []
        """All writes, for engines that record each of them as a change."""
        self._counts = Counter[EntryKey]()
        self._entries = dict(found)
        self._key_of = key_of
        self._now = now

    @property
    def is_whole(self) -> bool:
        """Whether it has the value of every entry."""
        return not any(isinstance(found.entry, bool) for found in self._entries.values())

    @property
    def kept(self) -> Sequence[tuple[EntryKey, Entry]]:
        """The entries to write."""
        return [(at, entry) for at, entry in self.written.items() if entry is not None]

    @property
    def removed(self) -> Sequence[EntryKey]:
        """The keys of the entries to remove."""
        return [at for at, entry in self.written.items() if entry is None]

    def get_up_to(self, operation: Get, value_bytes: int) -> Entry | bool | None:
        """See `batch.Table`; also `False` if the value was left out."""
        found = self._entries.get(self._key_of(operation))
        if found is None:
            return None
        if isinstance(found.entry, bool) or len(found.entry.value) > value_bytes:
            return False
        return found.entry

    def set(self, operation: Set) -> str:
        """See `batch.Table`."""
        at = self._checked(operation)
        entry = self.written[at] = operation.entry(new_version())
        self._next_step(at).written[at] = entry
        if entry.is_alive(self._now):
            self._entries[at] = Found(entry.version, entry.expires_at, entry)
        else:
            self._entries.pop(at, None)
        self.touched.pop(at, None)
        return entry.version

    def delete(self, operation: Delete) -> None:
        """See `batch.Table`."""
        at = self._checked(operation)
        self.written[at] = None
        self._next_step(at).written[at] = None
        self._entries.pop(at, None)
        self.touched.pop(at, None)

    def touch(self, operation: Touch) -> str | None:
        """See `batch.Table`."""
        at = self._checked(operation)
        found = self._entries.get(at)
        if found is None:
            return None
        expires_at = operation.expires_at
        self._next_step(at).touched[at] = expires_at
        if at in self.written:
            self.written[at] = touched(self.written[at], operation)
        else:
            self.touched[at] = expires_at
        if expires_at is None or expires_at > self._now:
            entry = found.entry
            entry = entry if isinstance(entry, bool) else touched(entry, operation) or False
            self._entries[at] = Found(found.version, expires_at, entry)
        else:
            del self._entries[at]
        return found.version

    def _next_step(self, at: EntryKey) -> Step:
        """Return the first step that has no write on the key yet."""
        index = self._counts[at]
        self._counts[at] += 1
        if index == len(self.steps):
            self.steps.append(Step())
        return self.steps[index]

    def _checked(self, operation: Set | Delete | Touch) -> EntryKey:
        at = self._key_of(operation)
        found = self._entries.get(at)
        condition = operation.precondition
        if condition is not None and not condition.allows(found):
            raise PreconditionFailed
        return at
