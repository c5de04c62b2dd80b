"""Replay the changes that a reader received, and find what is impossible about them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from .ledger import ANY, Ledger, Version

MOST_SHOWN: Final = 20


class Entry(NamedTuple):
    version: str
    expires_at: int | None


class Replay:
    """The entries that a reader knows, after the changes since it began.

    A reader that begins with `initial=true` gets some changes that are older than the entries it
    begins with. So nothing is expected of the first two changes of a key, unless the storage was
    empty.
    """

    def __init__(self, began: float, *, from_nothing: bool) -> None:
        self.began = began
        """When the reader knew its first position."""
        self.entries: dict[str, Entry] = {}
        self.order: dict[Version, int] = {}
        """The versions that were set, numbered in the order of their changes."""
        self.before: dict[Version, str | None] = {}
        """The version that each version has replaced."""
        self.ended: set[Version] = set()
        """The versions that were deleted or have expired."""
        self.values: dict[Version, object] = {}
        self.faults: list[str] = []
        self.changes = 0
        self._from_nothing = from_nothing
        self._first: dict[str, str] = {}
        """The version with which the reader began, by its key."""
        self._counts = Counter[str]()

    def apply(self, event: str, change: Mapping[str, Any]) -> None:
        """Apply a change to the entries."""
        self.changes += 1
        if event == "delete_prefix":
            for key in [key for key in self.entries if key.startswith(change["prefix"])]:
                self._end(key, self.entries[key].version)
            return
        key, version = change["key"], change.get("version")
        self._counts[key] += 1
        is_sure = self._from_nothing or self._counts[key] > 2
        now = self.entries.get(key)
        if event == "set":
            self._set(key, change, now, is_sure=is_sure)
            return
        if version is None:
            self._fault(f"{event} of {key} has no version")
            return
        if is_sure and (now is None or now.version != version):
            self._fault(f"{event} of {key} {version}, although the reader knows {now}")
        if event == "touch":
            touched = Entry(version, change.get("expires_at"))
            if is_sure and touched == now:
                self._fault(f"touch of {key} {version} came twice")
            self.entries[key] = touched
        else:
            self._end(key, version)

    def _set(
        self, key: str, change: Mapping[str, Any], now: Entry | None, *, is_sure: bool
    ) -> None:
        version = change["version"]
        if not self._from_nothing and self._counts[key] == 1:
            self._first[key] = version
        elif (key, version) in self.order and self._first.pop(key, None) != version:
            self._fault(f"set of {key} {version} came twice")
        self.order[key, version] = len(self.order)
        self.before[key, version] = (None if now is None else now.version) if is_sure else ANY
        if "value" in change:
            self.values[key, version] = change["value"]
        self.entries[key] = Entry(version, change.get("expires_at"))

    def _end(self, key: str, version: str) -> None:
        self.entries.pop(key, None)
        self.ended.add((key, version))

    def _fault(self, text: str) -> None:
        self.faults.append(text)

    def compare(self, ledger: Ledger, watches: Callable[[str], bool]) -> Iterator[str]:
        """Return what differs from what the writers know."""
        yield from self.faults
        for (key, version), write in ledger.writes.items():
            if not watches(key):
                continue
            if (key, version) not in self.order:
                if write.began > self.began:
                    yield f"set of {key} {version} never came"
                continue
            before = self.before[key, version]
            if ANY not in (before, write.before) and before != write.before:
                yield f"set of {key} {version} came after {before}; it replaced {write.before}"
            if (
                write.value is not None
                and self.values.get((key, version), write.value) != write.value
            ):
                yield f"set of {key} {version} came with the value of another version"
        for (key, version), began in ledger.removed.items():
            if watches(key) and began > self.began and (key, version) not in self.ended:
                yield f"the deletion of {key} {version} never came"
        for key, counts in ledger.counts.items():
            known = [
                self.order[key, one.version]
                for one in sorted(counts)
                if (key, one.version) in self.order
            ]
            if watches(key) and known != sorted(known):
                yield f"the increments of {key} came in another order"
        unexplained = Counter(
            key for key, version in self.order if (key, version) not in ledger.writes
        )
        for key, times in unexplained.items():
            if times > ledger.unknown[key]:
                yield f"{key} was set {times} times without a request, {ledger.unknown[key]} may be"

    def difference(self, entries: Mapping[str, Entry]) -> list[str]:
        """Return where the entries of the reader differ from those of the storage."""
        keys = self.entries.keys() | entries.keys()
        return [
            f"{key} is {entries.get(key)} in the storage, {self.entries.get(key)} for the reader"
            for key in sorted(keys)
            if self.entries.get(key) != entries.get(key)
        ]
