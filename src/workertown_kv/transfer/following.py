"""Copy only what has changed since an earlier copy."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ..entry import DEFAULT_ID, DEFAULT_NAMESPACE, Entry, is_id
from ..errors import KvError, NamespaceNotFound, ValueTooLarge
from ..namespaces import Namespace
from ..operations import Batch, Change, Delete, DeletePrefix, Event, Get, ReadChanges, Set
from ..storage import Storage
from .moving import Store
from .targets import Targets

_CHANGES: Final = 1000
_GETS_TOGETHER: Final = 100
_READ_BYTES: Final = 4 * 1024 * 1024
_DELETED_TOGETHER: Final = 10_000


class Followed(msgspec.Struct):
    """What was copied."""

    cursor: str
    """The position in the changes of the source from which to continue."""
    written: int = 0
    deleted: int = 0


async def position_of(storage: Storage) -> str:
    """Return the position of now in the changes of a storage."""
    return (await storage.changes(ReadChanges(None))).cursor


async def check_position(storage: Storage, since: str) -> None:
    """Raise `CursorGone` unless the changes since a position can be read."""
    await storage.changes(ReadChanges(since, 1))


async def copy_changes(
    source: Store,
    target: Storage,
    targets: Targets,
    since: str,
    chosen: Sequence[Namespace] | None = None,
) -> Followed:
    """Copy what has changed since a position: the present entries of the keys that changed.

    `chosen` are the namespaces, `None` for all of them. Raises `CursorGone` if the source no longer
    keeps the changes since then.
    """
    names = None if chosen is None else frozenset([namespace.name for namespace in chosen])
    following = _Following(source, target, targets, Followed(since))
    while True:
        done = following.done
        page = await source.storage.changes(ReadChanges(done.cursor, _CHANGES))
        keys: dict[tuple[str, str], None] = {}
        for change in page.changes:
            if names is not None and change.namespace not in names:
                continue
            if change.event is Event.DELETE_PREFIX:
                await following.copy_keys(keys)
                keys = {}
                await following.delete_prefix(change)
            else:
                keys[change.namespace, change.key] = None
        await following.copy_keys(keys)
        done.cursor = page.cursor
        if page.complete:
            return done


class _Following:
    def __init__(self, source: Store, target: Storage, targets: Targets, done: Followed) -> None:
        self.done = done
        self._source = source
        self._target = target
        self._targets = targets
        self._names: dict[str, str | None] = {}

    async def copy_keys(self, keys: dict[tuple[str, str], None]) -> None:
        """Make the entries of these keys in the target as they are in the source."""
        by_namespace: dict[str, list[Get]] = {}
        for namespace, key in keys:
            by_namespace.setdefault(namespace, []).append(Get(namespace, key))
        for namespace, gets in by_namespace.items():
            name = await self._name_in_target(namespace)
            if name is not None:
                await self._copy(gets, name)

    async def _copy(self, gets: Sequence[Get], name: str) -> None:
        for start in range(0, len(gets), _GETS_TOGETHER):
            some = gets[start : start + _GETS_TOGETHER]
            results = await self._source.storage.batch(Batch(some, read_bytes=_READ_BYTES))
            writes: list[Set | Delete] = []
            for get, result in zip(some, results, strict=True):
                found = result
                if isinstance(found, ValueTooLarge):
                    found = await self._source.storage.get(get)
                if isinstance(found, KvError):
                    raise found
                if isinstance(found, Entry):
                    writes.append(Set.of(name, found))
                else:
                    writes.append(Delete(name, get.key))
            for write, done in zip(writes, await self._target.batch(Batch(writes)), strict=True):
                if isinstance(done, KvError):
                    raise done
                if isinstance(write, Set):
                    self.done.written += 1
                else:
                    self.done.deleted += 1

    async def delete_prefix(self, change: Change) -> None:
        """Delete the keys with the prefix in the target; those set later come again later."""
        name = await self._name_in_target(change.namespace)
        cursor: str | None = None
        while name is not None:
            operation = DeletePrefix(name, change.key, _DELETED_TOGETHER, cursor)
            deletion = await self._target.delete_prefix(operation)
            self.done.deleted += deletion.deleted
            cursor = deletion.cursor
            if cursor is None:
                return

    async def _name_in_target(self, name: str) -> str | None:
        """Return the name in the target, `None` for a namespace that is not moved."""
        if name not in self._names:
            self._names[name] = await self._find(name)
        return self._names[name]

    async def _find(self, name: str) -> str | None:
        if name != DEFAULT_NAMESPACE and not is_id(name):
            return None  # the server's own entries
        id = DEFAULT_ID if name == DEFAULT_NAMESPACE else name
        try:
            source = await self._source.namespaces.find(id)
        except NamespaceNotFound:
            return None  # it was deleted meanwhile
        found = await self._targets.find(source)
        self._targets.use(source)
        return found
