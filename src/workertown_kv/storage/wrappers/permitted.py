"""Check every operation on a storage against the scopes of the user."""

from collections.abc import Sequence
from itertools import compress

import msgspec

from ...entry import Entry, KeyInfo
from ...errors import InputError
from ...operations import (
    Batch,
    ChangePage,
    Delete,
    DeletePrefix,
    Deletion,
    Get,
    List,
    Page,
    ReadChanges,
    Result,
    Set,
    Touch,
    Update,
    Updated,
)
from ...user import User
from ..contract import Capability, Storage
from .wrapper import Wrapper


def permitted(storage: Storage, user: User) -> Storage:
    """Return the storage as this user may use it."""
    return storage if user.scopes is None else PermittedStorage(storage, user)


class PermittedStorage(Wrapper):
    """Raises `Forbidden` for an operation that is out of scope, before the storage runs it.

    Listings show only the keys that the user may read. If the user has several prefixes, a page may
    have keys of several of them; it takes a listing for each in a storage that cannot list from any
    key.
    """

    def __init__(self, storage: Storage, user: User) -> None:
        super().__init__(storage)
        self._user = user

    async def get(self, operation: Get) -> Entry | None:
        self._user.check(operation)
        return await self._storage.get(operation)

    async def set(self, operation: Set) -> str:
        self._user.check(operation)
        return await self._storage.set(operation)

    async def delete(self, operation: Delete) -> None:
        self._user.check(operation)
        await self._storage.delete(operation)

    async def touch(self, operation: Touch) -> str | None:
        self._user.check(operation)
        return await self._storage.touch(operation)

    async def update(self, operation: Update) -> Updated:
        self._user.check(operation)
        return await self._storage.update(operation)

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        self._user.check_prefix("write", operation.namespace, operation.prefix)
        return await self._storage.delete_prefix(operation)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        self._user.check(operation)
        return await self._storage.batch(operation)

    async def changes(self, operation: ReadChanges) -> ChangePage:
        page = await self._storage.changes(operation)
        is_seen = [self._user.may_see(change) for change in page.changes]
        return msgspec.structs.replace(
            page,
            changes=list(compress(page.changes, is_seen)),
            cursors=list(compress(page.cursors, is_seen)),
        )

    async def list_entries(self, operation: List, read_bytes: int) -> Page:
        prefixes = self._user.listed_prefixes(operation)
        return await self._storage.list_entries(_within(operation, prefixes), read_bytes)

    async def list(self, operation: List) -> Page:
        prefixes = self._user.listed_prefixes(operation)
        if Capability.SEEKING not in self._storage.lacks:
            return await self._storage.list(_within(operation, prefixes))
        if len(prefixes) == 1:
            return await self._storage.list(msgspec.structs.replace(operation, prefix=prefixes[0]))
        cursor = _Cursor() if operation.cursor is None else _Cursor.decoded(operation.cursor)
        keys: list[KeyInfo] = []
        # The scopes may have changed since the last page, but not the order of keys.
        left = [prefix for prefix in prefixes if prefix >= cursor.prefix]
        for index, prefix in enumerate(left):
            page = await self._storage.list(
                msgspec.structs.replace(
                    operation,
                    prefix=prefix,
                    limit=operation.limit - len(keys),
                    cursor=cursor.in_prefix if prefix == cursor.prefix else None,
                )
            )
            keys += page.keys
            if page.cursor is not None:
                return Page(keys, _Cursor(prefix, page.cursor).encoded())
            if len(keys) == operation.limit and index + 1 < len(left):
                return Page(keys, _Cursor(left[index + 1]).encoded())
        return Page(keys)


def _within(operation: List, prefixes: Sequence[str]) -> List:
    """Return the listing of the keys that also have one of these prefixes."""
    both = [
        max(wanted, shown)  # the longer prefix
        for shown in prefixes
        for wanted in operation.within
        if wanted.startswith(shown) or shown.startswith(wanted)
    ]
    return msgspec.structs.replace(operation, within=tuple(sorted(both)))


class _Cursor(msgspec.Struct, array_like=True, frozen=True):
    """The end of a page: a prefix, and the cursor of the storage in the listing of this prefix."""

    prefix: str = ""
    in_prefix: str | None = None

    @classmethod
    def decoded(cls, cursor: str) -> "_Cursor":
        try:
            return msgspec.json.decode(cursor, type=cls)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InputError("The cursor is not of a listing with these scopes") from error

    def encoded(self) -> str:
        return msgspec.json.encode(self).decode()
