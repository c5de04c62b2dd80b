"""Turn changes and entries into what watchers get."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ..entry import Entry, KeyInfo
from ..operations import Change, ChangePage, Event
from .interest import Interest

VALUE_BYTES: Final = 64 * 1024
"""The largest value that is delivered with a change."""

Identity = tuple[Event, str, str, str | None, float | None]


class Published(msgspec.Struct, eq=False):
    """A change on its way to watchers, who share the texts that are made of it."""

    change: Change
    cursor: str | None
    """The position after the change, if it is known."""
    value: bytes | None = None
    """The value, while it has the version of the change and a watcher wants it."""
    is_json: bool = True
    value_bytes: int | None = None
    """The size of a value that is too large to be delivered."""
    texts: dict[object, bytes] = msgspec.field(default_factory=dict)
    """Texts of the change, by their kinds."""

    def take(self, entry: Entry) -> None:
        """Take the value of the entry, if it is small enough."""
        if len(entry.value) <= VALUE_BYTES:
            self.value, self.is_json = entry.value, entry.is_json
        else:
            self.value_bytes = len(entry.value)

    @property
    def identity(self) -> Identity:
        """Return what distinguishes the change from others."""
        change = self.change
        return change.event, change.namespace, change.key, change.version, change.expires_at


def published_changes(page: ChangePage, interest: Interest) -> list[Published]:
    """Return what a watcher sees of a page of changes."""
    return [
        Published(part, cursor)
        for change, cursor in with_cursors(page)
        for part in interest.parts(change)
    ]


def published_entries(namespace: str, keys: Sequence[KeyInfo]) -> list[Published]:
    """Return entries that are there already as changes that set them."""
    return [
        Published(
            Change(
                event=Event.SET,
                namespace=namespace,
                key=info.key,
                version=info.version,
                expires_at=info.expires_at,
                metadata=info.metadata,
            ),
            None,
        )
        for info in keys
    ]


def with_cursors(page: ChangePage) -> Iterator[tuple[Change, str | None]]:
    """Return each change with the position after it, which only the last change may have."""
    last = len(page.changes) - 1
    for index, change in enumerate(page.changes):
        if page.cursors:
            yield change, page.cursors[index]
        else:
            yield change, page.cursor if index == last else None


class Overlap:
    """Finds the changes that a subscriber has got already, while it catches up."""

    def __init__(self) -> None:
        self._seen: Counter[Identity] = Counter()

    def note(self, published: Sequence[Published]) -> None:
        """Note changes that the subscriber has got."""
        self._seen.update(one.identity for one in published)

    def has(self, published: Published) -> bool:
        """Return whether the subscriber has got a change, which comes again only once."""
        found = self._seen[published.identity] > 0
        if found:
            self._seen[published.identity] -= 1
        return found
