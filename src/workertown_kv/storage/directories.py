"""Define what a storage promises that manages its namespaces or API keys itself."""

from typing import Protocol

from ..user import Scope
from ..wire.api_keys import NewKey, StoredKey
from ..wire.namespaces import Namespace


class Directory(Protocol):
    """The namespaces that a storage manages itself, besides the default one.

    They are named by their ids or titles. Raises the same errors as `Namespaces`.
    """

    async def all(self) -> list[Namespace]:
        """Return all namespaces, the default one included."""

    async def named(self, name: str) -> Namespace:
        """Return the namespace with this id or title."""

    async def create(self, title: str, id: str | None = None) -> Namespace:
        """Create a namespace, with a new id if none is given."""

    async def rename(self, id: str, title: str) -> Namespace:
        """Give a namespace another title."""

    async def delete(self, id: str) -> None:
        """Delete a namespace with all its keys."""


class KeyDirectory(Protocol):
    """The API keys of a server that is the storage. Raises the same errors as `ApiKeys`."""

    async def all(self) -> list[StoredKey]:
        """Return all keys, in the order of their names."""

    async def named(self, name: str) -> StoredKey:
        """Return the key with this name."""

    async def create(
        self,
        name: str,
        *,
        scopes: tuple[Scope, ...] | None,
        not_before: int | None,
        expires_at: int | None,
    ) -> NewKey:
        """Make a key."""

    async def revoke(self, name: str) -> None:
        """Revoke a key."""
