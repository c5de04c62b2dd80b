"""Manage the API keys that another server accepts."""

from ..storage import KeyDirectory, Storage
from ..user import Scope
from ..wire.api_keys import StoredKey
from . import record
from .api_keys import ApiKeys


class ApiKeysElsewhere(ApiKeys):
    """The API keys that a directory has. The directory decides who may make which keys."""

    def __init__(self, storage: Storage, directory: KeyDirectory) -> None:
        super().__init__(storage)
        self._directory = directory

    async def named(self, name: str) -> StoredKey:
        return await self._directory.named(name)

    async def all(self) -> list[StoredKey]:
        return await self._directory.all()

    async def create(
        self,
        name: str,
        *,
        scopes: tuple[Scope, ...] | None = None,
        not_before: int | None = None,
        expires_at: int | None = None,
        created_by: str | None = None,
    ) -> tuple[str, StoredKey]:
        """Make a key. The server records its maker."""
        made = await self._directory.create(
            record.check_name(name), scopes=scopes, not_before=not_before, expires_at=expires_at
        )
        return made.api_key, made.stored()

    async def revoke(self, name: str) -> StoredKey:
        found = await self.named(name)
        await self._directory.revoke(name)
        return found
