"""Run a batch on entries as they were read at one moment, and collect its writes.

This is for engines that get all writes of a batch at once, after all reads on which they depend.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ..entry import Entry
from ..errors import PreconditionFailed
from ..operations import Batch, Delete, Get, Operation, Set, Touch, Update
from .batch import keys_of, touched
from .version import new_version

EntryKey = tuple[str, str]
"""A namespace, and a key in it."""


def entry_key(operation: Operation) -> EntryKey:
    """Return the entry key of an operation."""
    return operation.namespace, operation.key


def read_first(
    batch: Batch, key_of: Callable[[Operation], EntryKey] = entry_key
) -> Sequence[EntryKey]:
    """Return the keys of the entries on which the results of a batch depend."""
    keys = [*dict.fromkeys(key_of(one) for one in batch.operations if _depends(one))]
    if batch.record is not None:
        keys.append(key_of(keys_of(batch)[-1]))
    return keys


def _depends(operation: Operation) -> bool:
    return isinstance(operation, Get | Touch | Update) or operation.precondition is not None


class Found(msgspec.Struct, frozen=True):
    """An entry that exists; `entry` is `False` if its value was not read."""

    version: str
    expires_at: float | None
    entry: Entry | bool


class Writes:
    """Writes on different keys."""

    def __init__(self) -> None:
        self.written: dict[EntryKey, Entry | None] = {}
        self.touched: dict[EntryKey, float | None] = {}
        """The new lifetimes of entries that are not written."""

    @property
    def kept(self) -> Sequence[tuple[EntryKey, Entry]]:
        """The entries to write."""
        return [(at, entry) for at, entry in self.written.items() if entry is not None]

    @property
    def removed(self) -> Sequence[EntryKey]:
        """The keys of the entries to remove."""
        return [at for at, entry in self.written.items() if entry is None]


class Snapshot(Writes):
    """The entries that were read, and the writes that remain; `run_batch` works on it.

    `key_of` returns the entry key of an operation.
    """

    def __init__(
        self,
        found: Mapping[EntryKey, Found],
        now: float,
        key_of: Callable[[Operation], EntryKey] = entry_key,
    ) -> None:
        super().__init__()
        self.steps: list[Writes] = []
        """All writes, in steps that follow each other, for engines that record each as a change."""
        self._counts = Counter[EntryKey]()
        self._entries = dict(found)
        self._key_of = key_of
        self._now = now

    @classmethod
    def of(cls, entries: Mapping[EntryKey, Entry | None], now: float) -> "Snapshot":
        """Return the snapshot of entries whose values were read."""
        return cls(
            {
                at: Found(entry.version, entry.expires_at, entry)
                for at, entry in entries.items()
                if entry is not None
            },
            now,
        )

    @property
    def is_whole(self) -> bool:
        """Whether it has the value of every entry."""
        return not any(isinstance(found.entry, bool) for found in self._entries.values())

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

    def _next_step(self, at: EntryKey) -> Writes:
        """Return the first step that has no write on the key yet."""
        index = self._counts[at]
        self._counts[at] += 1
        if index == len(self.steps):
            self.steps.append(Writes())
        return self.steps[index]

    def _checked(self, operation: Set | Delete | Touch) -> EntryKey:
        at = self._key_of(operation)
        found = self._entries.get(at)
        condition = operation.precondition
        if condition is not None and not condition.allows(found):
            raise PreconditionFailed
        return at
