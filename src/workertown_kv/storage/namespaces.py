"""Namespaces: made, renamed, listed and deleted at run time, in every storage that can.

They are kept as entries (see `namespace.py`), so that a storage need not know of them.
"""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from ..entry import DEFAULT_ID, DEFAULT_NAMESPACE, Entry, is_id, is_unicode
from ..errors import Conflict, InputError, NamespaceExists, NamespaceNotFound
from ..operations import Batch, Delete, List, Operation, Precondition
from .contract import Capability, Storage
from .namespace import (
    DEFAULT,
    TITLE_CHARACTERS,
    Namespace,
    all_gone,
    claim,
    claim_at,
    claim_removed,
    claimed_by,
    forgotten,
    gone,
    gone_id,
    gone_since,
    namespace_in,
    record,
    record_at,
    record_of,
    record_removed,
    records,
    unclaimed,
)

KNOWN_SECONDS: Final = 5.0
"""How long a namespace that was deleted by another process may still be read."""

GONE_SECONDS: Final = 3600.0
"""How long the keys of a deleted namespace are looked for: a write under way may come late."""

_NEEDED: Final = (
    Capability.NAMESPACES,
    Capability.PRECONDITIONS,
    Capability.ATOMIC_BATCHES,
    Capability.LISTING,
)
_MOST_KNOWN: Final = 10_000


class Namespaces:
    """The namespaces of a storage.

    One without what it takes to keep them has the default namespace alone, and raises
    `StorageUnsupported` where another is to be made.
    """

    def __init__(self, storage: Storage, accounts: Sequence[str] = ()) -> None:
        self._storage = storage
        self._accounts = tuple(accounts)
        self._lacks = next((one for one in _NEEDED if one in storage.lacks), None)
        self._known: dict[str, tuple[float, Namespace]] = {}
        self._changes = 0
        self._purging: str | None = None
        self._deleted = asyncio.Event()

    async def find(self, id: str, *, fresh: bool = True) -> Namespace:
        """The namespace with this id. Raises `NamespaceNotFound`.

        What was found a moment ago is believed unless it must be `fresh`.
        """
        if id == DEFAULT_ID:
            return DEFAULT
        known = self._known.get(id)
        if known is not None and not fresh and self._storage.clock() < known[0]:
            return known[1]
        self._known.pop(id, None)
        changes = self._changes
        namespace, _ = await self._read(id)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        # What was changed here meanwhile may have been read as it was before.
        if changes == self._changes:
            self._known[id] = (self._storage.clock() + KNOWN_SECONDS, namespace)
        return namespace

    async def named(self, name: str, *, fresh: bool = True) -> Namespace:
        """The namespace with this id or title. Raises `NamespaceNotFound`.

        A title that several accounts have names none of them: `InputError`.
        """
        if name == DEFAULT_NAMESPACE:
            return DEFAULT
        if is_id(name):
            try:
                return await self.find(name, fresh=fresh)
            except NamespaceNotFound:
                pass
        found = await self._by_title(name)
        if len(found) > 1:
            raise InputError(f"Several accounts have a namespace {name[:100]!r}; expected its id")
        if not found:
            raise NamespaceNotFound(name)
        return await self.find(found[0], fresh=fresh)

    async def all(self, account: str | None = None) -> list[Namespace]:
        """Those of this account, or all, by their ids. Costs O(n) for n namespaces."""
        found = [DEFAULT]
        cursor: str | None = None
        while self._lacks is None:
            page = await self._storage.list(records(cursor))
            gets = [record_of(info.key) for info in page.keys]
            for entry in await self._storage.batch(Batch(gets)) if gets else ():
                # One that was deleted meanwhile is not there; an error is a matter of the storage.
                if isinstance(entry, Exception):
                    raise entry
                if isinstance(entry, Entry):
                    found.append(namespace_in(entry))
            cursor = page.cursor
            if cursor is None:
                break
        return [one for one in found if account is None or self.belongs(one, account)]

    def belongs(self, namespace: Namespace, account: str) -> bool:
        """Whether the account has the namespace. The first one has those that are of none."""
        if not self._accounts:
            return True
        return account == namespace.account or (
            not namespace.account and account == self._accounts[0]
        )

    async def create(self, title: str, account: str = "") -> Namespace:
        """Make a namespace. Raises `NamespaceExists` where the account has one of this title."""
        self._check_able()
        _check_title(title)
        account = account if self._accounts else ""
        namespace = Namespace(secrets.token_hex(16), title, account)
        try:
            await self._together(*self._claims(namespace), record(namespace))
        except Conflict as error:
            raise NamespaceExists(title) from error
        return namespace

    async def rename(self, id: str, title: str) -> Namespace:
        """Give a namespace another title, at one moment. Its id and keys stay."""
        self._check_able()
        _check_title(title)
        while True:
            old, version = await self._read(_not_default(id, "renamed"))
            new = Namespace(old.id, title, old.account)
            if new == old:
                return old
            claims = self._claims(new)
            try:
                await self._together(
                    *claims, record(new, Precondition((version,))), claim_removed(old)
                )
            except Conflict as error:
                if any(one < len(claims) for one in error.failed):
                    raise NamespaceExists(title) from error
            else:
                self._forget(id)
                return new

    async def delete(self, id: str) -> None:
        """Delete a namespace. Nobody sees it or its keys any more; their space comes back later."""
        self._check_able()
        while True:
            namespace, version = await self._read(_not_default(id, "deleted"))
            try:
                await self._together(
                    record_removed(id, version),
                    claim_removed(namespace),
                    gone(id, self._storage.clock()),
                )
            except Conflict:
                continue
            self._forget(id)
            self._deleted.set()
            return

    async def purge(self, limit: int) -> int:
        """Remove at most `limit` keys of deleted namespaces; how many were there."""
        # A new one, for the event loop that runs now.
        self._deleted = asyncio.Event()
        if self._lacks is not None:
            return 0
        # That of the last time first: there may be many that are empty, and many steps.
        if self._purging is not None and (purged := await self.purge_one(self._purging, limit)):
            return purged
        self._purging = None
        cursor: str | None = None
        while True:
            page = await self._storage.list(all_gone(cursor))
            for info in page.keys:
                id = gone_id(info.key)
                if purged := await self.purge_one(id, limit):
                    self._purging = id
                    return purged
                since = gone_since(await self._storage.get(record_of(info.key)))
                if self._storage.clock() - since > GONE_SECONDS:
                    await self._storage.delete(forgotten(info.key))
            cursor = page.cursor
            if cursor is None:
                return 0

    async def purge_one(self, id: str, limit: int) -> int:
        """Remove at most `limit` keys of this deleted namespace; how many were there."""
        page = await self._storage.list(List(id, "", limit))
        if page.keys:
            deletes = [Delete(id, one.key) for one in page.keys]
            for result in await self._storage.batch(Batch(deletes)):
                # Whoever goes on until nothing is left would never end.
                if isinstance(result, Exception):
                    raise result
        return len(page.keys)

    async def wait_for_deleted(self, seconds: float) -> None:
        """Wait until a namespace has been deleted here since the last purge, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._deleted.wait()

    def _forget(self, id: str) -> None:
        self._changes += 1
        self._known.pop(id, None)

    async def _read(self, id: str) -> tuple[Namespace, str]:
        entry = None
        if self._lacks is None and is_id(id):
            entry = await self._storage.get(record_at(id))
        if entry is None:
            raise NamespaceNotFound(id)
        return namespace_in(entry), entry.version

    async def _by_title(self, title: str) -> list[str]:
        if self._lacks is not None or not 0 < len(title) <= TITLE_CHARACTERS:
            return []
        if not is_unicode(title):
            return []
        places = [claim_at(title, account) for account in ("", *self._accounts)]
        entries = [await self._storage.get(place) for place in places]
        return [claimed_by(entry) for entry in entries if entry]

    def _claims(self, namespace: Namespace) -> list[Operation]:
        """Takes the title, unless the account sees it already, though it is another's or none's."""
        if namespace.title == DEFAULT_NAMESPACE and self.belongs(DEFAULT, namespace.account):
            raise NamespaceExists(namespace.title)
        claims: list[Operation] = [claim(namespace)]
        if self._accounts and namespace.account in ("", self._accounts[0]):
            other = "" if namespace.account else self._accounts[0]
            claims.append(unclaimed(namespace.title, other))
        return claims

    async def _together(self, *operations: Operation) -> None:
        await self._storage.batch(Batch(operations, atomic=True))

    def _check_able(self) -> None:
        if self._lacks is not None:
            raise self._storage.unsupported(self._lacks)


def _not_default(id: str, what: str) -> str:
    if id == DEFAULT_ID:
        raise InputError(f"The default namespace cannot be {what}")
    return id


def _check_title(title: str) -> None:
    if not 0 < len(title) <= TITLE_CHARACTERS:
        raise InputError(
            f"The title has {len(title):,} characters; expected 1 to {TITLE_CHARACTERS}"
        )
    if not is_unicode(title):
        raise InputError("The title is not Unicode; expected UTF-8")
