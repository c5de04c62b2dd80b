"""A storage as one user may use it: every operation is checked against their scopes first."""

from collections.abc import Sequence

import msgspec

from ..entry import Entry, KeyInfo
from ..errors import InputError
from ..operations import Batch, Delete, Get, List, Page, Result, Set
from ..user import User
from .contract import Storage


def permitted(storage: Storage, user: User) -> Storage:
    """The storage as this user may use it."""
    return storage if user.scopes is None else PermittedStorage(storage, user)


class PermittedStorage(Storage):
    """Raises `Forbidden` for what is out of scope, before anything is done.

    Listings show only what may be read. One that is made of several prefixes asks the storage
    once for each of those that a page reaches.
    """

    def __init__(self, storage: Storage, user: User) -> None:
        super().__init__(clock=storage.clock)
        self._storage = storage
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

    async def batch(self, operation: Batch) -> Sequence[Result]:
        self._user.check(operation)
        return await self._storage.batch(operation)

    async def list(self, operation: List) -> Page:
        prefixes = self._user.listed_prefixes(operation)
        if len(prefixes) == 1:
            return await self._storage.list(msgspec.structs.replace(operation, prefix=prefixes[0]))
        place = _Place() if operation.cursor is None else _Place.read(operation.cursor)
        keys: list[KeyInfo] = []
        # The scopes may be others than those of the page before; the order of keys is not.
        left = [prefix for prefix in prefixes if prefix >= place.prefix]
        for index, prefix in enumerate(left):
            page = await self._storage.list(
                msgspec.structs.replace(
                    operation,
                    prefix=prefix,
                    limit=operation.limit - len(keys),
                    cursor=place.cursor if prefix == place.prefix else None,
                )
            )
            keys += page.keys
            if page.cursor is not None:
                return Page(keys, _Place(prefix, page.cursor).written())
            if len(keys) == operation.limit and index + 1 < len(left):
                return Page(keys, _Place(left[index + 1]).written())
        return Page(keys)


class _Place(msgspec.Struct, array_like=True, frozen=True):
    """Where a page ends: at a prefix, and at the storage's own cursor in it."""

    prefix: str = ""
    cursor: str | None = None

    @classmethod
    def read(cls, cursor: str) -> "_Place":
        try:
            return msgspec.json.decode(cursor, type=cls)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InputError("The cursor is not of a listing with these scopes") from error

    def written(self) -> str:
        return msgspec.json.encode(self).decode()
