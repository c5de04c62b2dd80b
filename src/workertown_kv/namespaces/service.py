"""Create, rename, list and delete namespaces at run time.

The storage need not know about namespaces, since they are kept as entries (see `registry.py`).
"""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from ..entry import DEFAULT_ID, DEFAULT_NAMESPACE, Entry, is_id, is_unicode
from ..errors import Conflict, InputError, NamespaceExists, NamespaceIdTaken, NamespaceNotFound
from ..operations import Batch, Delete, List, Operation, Precondition
from ..storage import Capability, Storage
from ..wire.namespaces import Namespace
from . import registry
from .namespace import DEFAULT, TITLE_CHARACTERS, check_title

CACHE_SECONDS: Final = 5.0
"""How long a namespace that another process has deleted may still be read."""

TOMBSTONE_SECONDS: Final = 3600.0
"""How long the sweep looks for keys of a deleted namespace, since a slow write may come late."""

_NEEDED: Final = (
    Capability.NAMESPACES,
    Capability.PRECONDITIONS,
    Capability.ATOMIC_BATCHES,
    Capability.LISTING,
)
_CACHE_NAMESPACES: Final = 10_000


class Namespaces:
    """The namespaces of a storage.

    A storage that lacks a capability that namespaces need has only the default namespace. Creating
    another raises `StorageUnsupported`.
    """

    def __init__(self, storage: Storage, accounts: Sequence[str] = ()) -> None:
        self._storage = storage
        self._accounts = tuple(accounts)
        self._lack = next((needed for needed in _NEEDED if needed in storage.lacks), None)
        self._cache: dict[str, tuple[float, Namespace]] = {}
        """By the id of a namespace: until when it need not be read again, and the namespace."""
        self._changes = 0
        self._purging: str | None = None
        self._deleted = asyncio.Event()

    async def find(self, id: str, *, fresh: bool = True) -> Namespace:
        """Return the namespace with this id. Raises `NamespaceNotFound`.

        Unless it must be `fresh`, it may have been read up to `CACHE_SECONDS` ago.
        """
        if id == DEFAULT_ID:
            return DEFAULT
        cached = self._cache.get(id)
        if cached is not None and not fresh:
            left = cached[0] - self._storage.clock()
            if 0 < left <= CACHE_SECONDS:  # the clock may have been set back
                return cached[1]
        self._cache.pop(id, None)
        changes = self._changes
        namespace, _ = await self._read(id)
        if len(self._cache) >= _CACHE_NAMESPACES:
            self._cache.clear()
        # If this process changed a namespace during the read, the record may be out of date.
        if changes == self._changes:
            self._cache[id] = (self._storage.clock() + CACHE_SECONDS, namespace)
        return namespace

    async def named(self, name: str, *, fresh: bool = True) -> Namespace:
        """Return the namespace with this id or title. Raises `NamespaceNotFound`.

        Raises `InputError` for a title that several accounts have.
        """
        if name == DEFAULT_NAMESPACE:
            return DEFAULT
        if is_id(name):
            try:
                return await self.find(name, fresh=fresh)
            except NamespaceNotFound:
                pass
        ids = await self._ids_with(name)
        if len(ids) > 1:
            raise InputError(f"Several accounts have a namespace {name[:100]!r}; expected its id")
        if not ids:
            raise NamespaceNotFound(name)
        return await self.find(ids[0], fresh=fresh)

    async def all(self, account: str | None = None) -> list[Namespace]:
        """List the namespaces of this account, or all, by their ids. Costs O(n)."""
        found = [DEFAULT]
        cursor: str | None = None
        while self._lack is None:
            page = await self._storage.list(registry.list_records(cursor))
            gets = [registry.get_key(info.key) for info in page.keys]
            for record in await self._storage.batch(Batch(gets)) if gets else ():
                if isinstance(record, Exception):
                    raise record
                # A namespace that was deleted after the page was listed has no record.
                if isinstance(record, Entry):
                    found.append(registry.namespace_in(record))
            cursor = page.cursor
            if cursor is None:
                break
        if account is None:
            return found
        return [namespace for namespace in found if self.belongs(namespace, account)]

    def belongs(self, namespace: Namespace, account: str) -> bool:
        """Return whether the account has the namespace.

        The first account has also the namespaces that were created without an account.
        """
        if not self._accounts:
            return True
        return account == namespace.account or (
            not namespace.account and account == self._accounts[0]
        )

    async def create(self, title: str, account: str = "") -> Namespace:
        """Create a namespace. Raises `NamespaceExists` if the account has one with this title."""
        self._check_able()
        check_title(title)
        account = account if self._accounts else ""
        namespace = Namespace(secrets.token_hex(16), title, account)
        try:
            await self._batch(*self._claims(namespace), registry.set_record(namespace))
        except Conflict as error:
            raise NamespaceExists(title) from error
        return namespace

    async def restore(self, namespace: Namespace) -> Namespace:
        """Create a namespace of another store, with its id. Raises `NamespaceExists`.

        Raises `NamespaceIdTaken` if this store has the id, or has deleted it within
        `TOMBSTONE_SECONDS`: the keys of a deleted namespace are still being removed.
        """
        self._check_able()
        check_title(namespace.title)
        account = namespace.account if self._accounts else ""
        restored = Namespace(namespace.id, namespace.title, account)
        claims = self._claims(restored)
        others = (registry.require_not_deleted(restored.id), registry.set_record(restored))
        try:
            await self._batch(*claims, *others)
        except Conflict as error:
            if any(index < len(claims) for index in error.failed):
                raise NamespaceExists(restored.title) from error
            raise NamespaceIdTaken(restored.id) from error
        return restored

    async def rename(self, id: str, title: str) -> Namespace:
        """Give a namespace another title, in one step. Its id and keys stay."""
        self._check_able()
        check_title(title)
        while True:
            old, version = await self._read(not_default(id, "renamed"))
            new = Namespace(old.id, title, old.account)
            if new == old:
                return old
            claims = self._claims(new)
            record = registry.set_record(new, Precondition((version,)))
            try:
                await self._batch(*claims, record, registry.delete_claim(old))
            except Conflict as error:
                if any(index < len(claims) for index in error.failed):
                    raise NamespaceExists(title) from error
            else:
                self._changed(id)
                return new

    async def delete(self, id: str) -> None:
        """Delete a namespace.

        From now on no request can reach it or its keys; `purge` removes the keys later.
        """
        self._check_able()
        while True:
            namespace, version = await self._read(not_default(id, "deleted"))
            try:
                await self._batch(
                    registry.delete_record(id, version),
                    registry.delete_claim(namespace),
                    registry.set_tombstone(id, self._storage.clock()),
                )
            except Conflict:
                continue
            self._changed(id)
            self._deleted.set()
            return

    async def purge(self, limit: int) -> int:
        """Remove at most `limit` keys of deleted namespaces, and return how many there were."""
        # An event belongs to one event loop, and the next purge may be on another.
        self._deleted = asyncio.Event()
        if self._lack is not None:
            return 0
        # Begin with the namespace in which the last purge found keys: most others may be empty.
        if self._purging is not None and (
            purged := await self.purge_namespace(self._purging, limit)
        ):
            return purged
        self._purging = None
        cursor: str | None = None
        while True:
            page = await self._storage.list(registry.list_tombstones(cursor))
            for info in page.keys:
                id = registry.id_of_tombstone(info.key)
                if purged := await self.purge_namespace(id, limit):
                    self._purging = id
                    return purged
                tombstone = await self._storage.get(registry.get_key(info.key))
                if self._storage.clock() - registry.deleted_at(tombstone) > TOMBSTONE_SECONDS:
                    await self._storage.delete(registry.delete_tombstone(info.key))
            cursor = page.cursor
            if cursor is None:
                return 0

    async def purge_namespace(self, id: str, limit: int) -> int:
        """Remove at most `limit` keys of this deleted namespace, and return how many there were."""
        page = await self._storage.list(List(id, "", limit))
        if page.keys:
            deletes = [Delete(id, info.key) for info in page.keys]
            for result in await self._storage.batch(Batch(deletes)):
                # Callers repeat this until no key is left, so a failure must end it.
                if isinstance(result, Exception):
                    raise result
        return len(page.keys)

    async def wait_for_deleted(self, seconds: float) -> None:
        """Wait until this process deletes a namespace, but at most `seconds`.

        Returns at once if the process has deleted a namespace since the last `purge` began.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._deleted.wait()

    def _changed(self, id: str) -> None:
        self._changes += 1
        self._cache.pop(id, None)

    async def _read(self, id: str) -> tuple[Namespace, str]:
        record = None
        if self._lack is None and is_id(id):
            record = await self._storage.get(registry.get_record(id))
        if record is None:
            raise NamespaceNotFound(id)
        return registry.namespace_in(record), record.version

    async def _ids_with(self, title: str) -> list[str]:
        if self._lack is not None or not 0 < len(title) <= TITLE_CHARACTERS:
            return []
        if not is_unicode(title):
            return []
        gets = [registry.get_claim(title, account) for account in ("", *self._accounts)]
        claims = [await self._storage.get(get) for get in gets]
        return [registry.id_in(claim) for claim in claims if claim]

    def _claims(self, namespace: Namespace) -> list[Operation]:
        """Claim the title, unless the account already has a namespace with it.

        The first account also has the namespaces without an account, and they must not share a
        title.
        """
        if namespace.title == DEFAULT_NAMESPACE and self.belongs(DEFAULT, namespace.account):
            raise NamespaceExists(namespace.title)
        claims: list[Operation] = [registry.set_claim(namespace)]
        if self._accounts and namespace.account in ("", self._accounts[0]):
            other = "" if namespace.account else self._accounts[0]
            claims.append(registry.require_free(namespace.title, other))
        return claims

    async def _batch(self, *operations: Operation) -> None:
        await self._storage.batch(Batch(operations, atomic=True))

    def _check_able(self) -> None:
        if self._lack is not None:
            raise self._storage.unsupported(self._lack)


def not_default(id: str, act: str) -> str:
    """Return the id. Raises `InputError` for the default namespace."""
    if id == DEFAULT_ID:
        raise InputError(f"The default namespace cannot be {act}")
    return id
