"""Find the subscribers who see a change."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from ..operations import Change, Event
from .interest import Interest
from .published import Published


class Subscriber(Protocol):
    """Receives changes, and never waits."""

    interest: Interest
    wants_values: bool

    def push(self, published: Published) -> None:
        """Receive a change."""

    def reset(self) -> None:
        """Learn that changes were missed. Nothing more is delivered."""


class Subscribers:
    """The subscribers of a feed."""

    def __init__(self) -> None:
        self._all: dict[Subscriber, None] = {}
        self._by_namespace: dict[str | None, _Prefixes] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(list(self._all))

    def __contains__(self, subscriber: Subscriber) -> bool:
        return subscriber in self._all

    def add(self, subscriber: Subscriber) -> None:
        """Add a subscriber."""
        self._all[subscriber] = None
        name = subscriber.interest.namespace
        self._by_namespace.setdefault(name, _Prefixes()).add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        """Remove a subscriber that was added."""
        del self._all[subscriber]
        self._by_namespace[subscriber.interest.namespace].discard(subscriber)
        if not self._all:
            self._by_namespace.clear()

    def watching(self, change: Change) -> list[Subscriber]:
        """Return the subscribers that see a change."""
        return [
            subscriber
            for name in (change.namespace, None)
            if name in self._by_namespace
            for subscriber in self._by_namespace[name].watching(change)
        ]


class _Prefixes:
    """Finds the subscribers of one namespace, or of all, by the prefixes of a key."""

    def __init__(self) -> None:
        self._by_prefix: dict[str, dict[Subscriber, None]] = {}
        self._lengths: Sequence[int] = ()

    def add(self, subscriber: Subscriber) -> None:
        for prefix in subscriber.interest.prefixes:
            self._by_prefix.setdefault(prefix, {})[subscriber] = None
        self._note_lengths()

    def discard(self, subscriber: Subscriber) -> None:
        for prefix in subscriber.interest.prefixes:
            found = self._by_prefix.get(prefix, {})
            found.pop(subscriber, None)
            if not found:
                self._by_prefix.pop(prefix, None)
        self._note_lengths()

    def watching(self, change: Change) -> Iterator[Subscriber]:
        """Return the subscribers that see a change. A change of their set may end it."""
        if change.event is Event.DELETE_PREFIX:
            for subscribers in list(self._by_prefix.values()):
                yield from list(subscribers)
            return
        for length in self._lengths:
            if length > len(change.key):
                return
            found = self._by_prefix.get(change.key[:length])
            if found is not None:
                yield from list(found)

    def _note_lengths(self) -> None:
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix})
