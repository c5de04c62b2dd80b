"""Namespaces: made, renamed, listed and deleted at run time, in every storage that can.

What is known of them are entries as well, in a namespace that no request can name. All their keys
have one hash tag, so that a storage of many servers can change them at one moment.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from ..entry import DEFAULT_NAMESPACE, Entry
from ..errors import Conflict, InputError, NamespaceExists, NamespaceNotFound
from ..operations import MUST_NOT_EXIST, Batch, Delete, Get, List, Operation, Precondition, Set
from .contract import Capability, Storage

DEFAULT_ID: Final = "0" * 32
"""The id of the default namespace, for clients that know 32 hexadecimal digits alone."""

TITLE_CHARACTERS: Final = 512
"""The most characters of a title; Workers KV has the same limit."""

KNOWN_SECONDS: Final = 5.0
"""How long a namespace that was deleted by another process may still be read."""

GONE_SECONDS: Final = 3600.0
"""How long the keys of a deleted namespace are looked for: a write under way may come late."""

_REGISTRY: Final = "workertown-kv"
_IDS: Final = "{namespaces}id:"
_TITLES: Final = "{namespaces}title:"
_GONE: Final = "{namespaces}gone:"
_NEEDED: Final = (
    Capability.NAMESPACES,
    Capability.PRECONDITIONS,
    Capability.ATOMIC_BATCHES,
    Capability.LISTING,
)
_ID: Final = re.compile("[0-9a-f]{32}")
_MOST_KNOWN: Final = 10_000
_PAGE: Final = 1000


class Namespace(msgspec.Struct, frozen=True):
    """A namespace: its id never changes and is never used again, its title may change."""

    id: str
    title: str
    account: str = ""
    """The account of Cloudflare's REST API that it belongs to, where there are several."""

    @property
    def name(self) -> str:
        """What operations call it."""
        return DEFAULT_NAMESPACE if self.id == DEFAULT_ID else self.id


DEFAULT: Final = Namespace(DEFAULT_ID, DEFAULT_NAMESPACE)


class _Kept(msgspec.Struct, frozen=True):
    title: str
    account: str


def is_id(text: str) -> bool:
    """Whether this could be the id of a namespace."""
    return _ID.fullmatch(text) is not None


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
        namespace, _ = await self._read(id)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
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
            page = await self._storage.list(List(_REGISTRY, _IDS, _PAGE, cursor))
            gets = [Get(_REGISTRY, info.key) for info in page.keys]
            for entry in await self._storage.batch(Batch(gets)) if gets else ():
                # One that was deleted meanwhile is not there; an error is a matter of the storage.
                if isinstance(entry, Exception):
                    raise entry
                if isinstance(entry, Entry):
                    found.append(_namespace(entry))
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
        await self._check_free(namespace)
        record, claim = _record(namespace), _claim(namespace)
        try:
            await self._together(record, claim)
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
            await self._check_free(new)
            try:
                await self._together(
                    _claim(new),
                    _record(new, Precondition((version,))),
                    Delete(_REGISTRY, _title_key(old)),
                )
            except Conflict as error:
                if 0 in error.failed:
                    raise NamespaceExists(title) from error
            else:
                self._known.pop(id, None)
                return new

    async def delete(self, id: str) -> None:
        """Delete a namespace. Nobody sees it or its keys any more; their space comes back later."""
        self._check_able()
        while True:
            namespace, version = await self._read(_not_default(id, "deleted"))
            gone = Set(
                namespace=_REGISTRY,
                key=_GONE + id,
                value=msgspec.json.encode(self._storage.clock()),
            )
            try:
                await self._together(
                    Delete(_REGISTRY, _IDS + id, Precondition((version,))),
                    Delete(_REGISTRY, _title_key(namespace)),
                    gone,
                )
            except Conflict:
                continue
            self._known.pop(id, None)
            self._deleted.set()
            return

    async def purge(self, limit: int) -> int:
        """Remove at most `limit` keys of deleted namespaces; how many were there."""
        if self._lacks is not None:
            return 0
        self._deleted.clear()
        gone = await self._storage.list(List(_REGISTRY, _GONE, _PAGE))
        for info in gone.keys:
            id = info.key.removeprefix(_GONE)
            page = await self._storage.list(List(id, "", limit))
            if page.keys:
                await self._storage.batch(Batch([Delete(id, one.key) for one in page.keys]))
                return len(page.keys)
            entry = await self._storage.get(Get(_REGISTRY, info.key))
            deleted_at = 0.0 if entry is None else msgspec.json.decode(entry.value, type=float)
            if self._storage.clock() - deleted_at > GONE_SECONDS:
                await self._storage.delete(Delete(_REGISTRY, info.key))
        return 0

    async def wait_for_deleted(self, seconds: float) -> None:
        """Wait until a namespace has been deleted here since the last purge, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._deleted.wait()

    async def _read(self, id: str) -> tuple[Namespace, str]:
        entry = None
        if self._lacks is None and is_id(id):
            entry = await self._storage.get(Get(_REGISTRY, _IDS + id))
        if entry is None:
            raise NamespaceNotFound(id)
        return _namespace(entry), entry.version

    async def _by_title(self, title: str) -> list[str]:
        if self._lacks is not None or not 0 < len(title) <= TITLE_CHARACTERS:
            return []
        places = (_title_key(Namespace("", title, one)) for one in ("", *self._accounts))
        entries = [await self._storage.get(Get(_REGISTRY, place)) for place in places]
        return [msgspec.json.decode(entry.value, type=str) for entry in entries if entry]

    async def _check_free(self, namespace: Namespace) -> None:
        """Refuse the titles that the account sees already, though they are another's or none's."""
        if namespace.title == DEFAULT_NAMESPACE and self.belongs(DEFAULT, namespace.account):
            raise NamespaceExists(namespace.title)
        if self._accounts and namespace.account in ("", self._accounts[0]):
            other = "" if namespace.account else self._accounts[0]
            place = _title_key(Namespace("", namespace.title, other))
            if await self._storage.get(Get(_REGISTRY, place)):
                raise NamespaceExists(namespace.title)

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


def _record(namespace: Namespace, condition: Precondition = MUST_NOT_EXIST) -> Set:
    kept = msgspec.json.encode(_Kept(namespace.title, namespace.account))
    return Set(namespace=_REGISTRY, key=_IDS + namespace.id, value=kept, precondition=condition)


def _claim(namespace: Namespace) -> Set:
    return Set(
        namespace=_REGISTRY,
        key=_title_key(namespace),
        value=msgspec.json.encode(namespace.id),
        precondition=MUST_NOT_EXIST,
    )


def _title_key(namespace: Namespace) -> str:
    # As a digest, since a title may be longer than a key.
    owned = f"{namespace.account}/{namespace.title}".encode()
    return _TITLES + hashlib.sha256(owned).hexdigest()


def _namespace(entry: Entry) -> Namespace:
    kept = msgspec.json.decode(entry.value, type=_Kept)
    return Namespace(entry.key.removeprefix(_IDS), kept.title, kept.account)
