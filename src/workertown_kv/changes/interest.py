"""Choose the changes that a watcher sees."""

from collections.abc import Iterable, Sequence

import msgspec

from ..entry import DEFAULT_NAMESPACE, is_id
from ..operations import Change, Event


def is_reserved(namespace: str) -> bool:
    """Return whether no request can name a namespace."""
    return namespace != DEFAULT_NAMESPACE and not is_id(namespace)


class Interest(msgspec.Struct, frozen=True):
    """The changes of the keys with some prefixes, in one namespace or in all."""

    namespace: str | None
    """`None` stands for all namespaces that requests can name."""
    prefixes: tuple[str, ...]
    """No prefix begins with another of them; see `apart`."""

    def parts(self, change: Change) -> Sequence[Change]:
        """Return what a watcher sees of a change.

        A deletion of all keys with a prefix becomes deletions of the watched prefixes below it, so
        that it tells nothing about other keys.
        """
        if self.namespace is None:
            if is_reserved(change.namespace):
                return ()
        elif self.namespace != change.namespace:
            return ()
        if change.key.startswith(self.prefixes):
            return (change,)
        if change.event is not Event.DELETE_PREFIX:
            return ()
        below = (prefix for prefix in self.prefixes if prefix.startswith(change.key))
        return [msgspec.structs.replace(change, key=prefix) for prefix in below]


def apart(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Return the prefixes, in the order of keys, without those that begin with another."""
    kept: list[str] = []
    for prefix in sorted(prefixes):
        if not kept or not prefix.startswith(kept[-1]):
            kept.append(prefix)
    return tuple(kept)
