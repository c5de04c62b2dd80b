"""Make, find, list and revoke the API keys that a storage keeps."""

from typing import Final

from ..entry import Entry
from ..errors import ApiKeyExists, NotFound, PreconditionFailed
from ..operations import Batch
from ..storage import Capability, Storage
from ..user import Scope
from ..wire.api_keys import StoredKey
from . import record
from .record import KeyRecord

_NEEDED: Final = (
    Capability.NAMESPACES,
    Capability.PRECONDITIONS,
    Capability.LISTING,
    Capability.RESERVED,
)
_PAGE: Final = 1000


class ApiKeys:
    """The API keys of a storage, each with a name.

    Their entries are in a namespace that no request can name.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.revision = 0
        """How often this object has changed the keys."""

    @property
    def is_possible(self) -> bool:
        """Whether the storage can keep API keys."""
        return self.storage.lacks.keys().isdisjoint(_NEEDED)

    async def find(self, id: str) -> KeyRecord | None:
        """Return the record of the key with this id, `None` if there is none."""
        entry = await self.storage.get(record.get_record(id))
        return None if entry is None else record.record_in(entry)

    async def named(self, name: str) -> StoredKey:
        """Return the key with this name. Raises `NotFound`."""
        self._check_able()
        found = await self.find(record.id_of(name))
        if found is None:
            raise NotFound(f"There is no API key {name[:100]!r} in the storage")
        return found.key

    async def all(self) -> list[StoredKey]:
        """Return all keys, in the order of their names. Costs O(n)."""
        self._check_able()
        found: list[StoredKey] = []
        cursor: str | None = None
        while True:
            page = await self.storage.list(record.list_records(cursor, _PAGE))
            gets = [record.get_listed(info.key) for info in page.keys]
            for entry in await self.storage.batch(Batch(gets)) if gets else ():
                if isinstance(entry, Exception):
                    raise entry
                # A key that was revoked after the page was listed has no record.
                if isinstance(entry, Entry):
                    found.append(record.record_in(entry).key)
            cursor = page.cursor
            if cursor is None:
                return sorted(found, key=lambda key: key.name)

    async def has_any(self) -> bool:
        """Return whether the storage has an API key."""
        if not self.is_possible:
            return False
        page = await self.storage.list(record.list_records(None, 1))
        return bool(page.keys)

    async def create(
        self,
        name: str,
        *,
        scopes: tuple[Scope, ...] | None = None,
        not_before: int | None = None,
        expires_at: int | None = None,
        created_by: str | None = None,
    ) -> tuple[str, StoredKey]:
        """Make a key, and return its text, which is not kept, and what is kept of it.

        Raises `InputError` for a wrong name, and `ApiKeyExists` if another key has the name.
        """
        self._check_able()
        name = record.check_name(name)
        key = StoredKey(
            name=name,
            created_at=int(self.storage.clock()),
            created_by=created_by,
            scopes=scopes,
            not_before=not_before,
            expires_at=expires_at,
        )
        text = record.new_text(name)
        try:
            await self.storage.set(record.set_record(key, text))
        except PreconditionFailed as error:
            raise ApiKeyExists(name) from error
        return text, key

    async def revoke(self, name: str) -> StoredKey:
        """Delete a key, and return what was kept of it. Raises `NotFound`."""
        found = await self.named(name)
        try:
            await self.storage.delete(record.delete_record(name))
        finally:
            self.revision += 1
        return found

    def _check_able(self) -> None:
        for needed in _NEEDED:
            if needed in self.storage.lacks:
                raise self.storage.unsupported(needed)
