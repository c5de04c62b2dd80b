"""Keep the collections of py-key-value-aio in a store.

An entry is under the key `COLLECTION/KEY`, as plain JSON with a lifetime of its own, so that other
clients of the store can use it too. In the name of a collection, `/` becomes `%2F` and `%`
becomes `%25`.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

from ..errors import InputError, MissingExtra
from ..storage import Storage
from .async_client import AsyncClient
from .entry import Entry

try:
    from key_value.aio.errors import DeserializationError, SerializationError
    from key_value.aio.stores.base import (
        BaseContextManagerStore,
        BaseDestroyCollectionStore,
        BaseDestroyStore,
        BaseEnumerateCollectionsStore,
        BaseEnumerateKeysStore,
        ManagedEntry,
    )
except ImportError as error:
    raise MissingExtra("workertown_kv.client.py_key_value", "py-key-value-aio>=0.5,<0.6") from error

_GONE: Final = object()


class KeyValueStore(
    BaseContextManagerStore,
    BaseEnumerateKeysStore,
    BaseEnumerateCollectionsStore,
    BaseDestroyCollectionStore,
    BaseDestroyStore,
):
    """A store of py-key-value-aio that keeps its entries where an `AsyncClient` keeps them.

    `store` is what `AsyncClient` takes, or an `AsyncClient`, which this does not close. `api_key`
    and `namespace` are those of `AsyncClient`.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | Storage | AsyncClient,
        *,
        api_key: str | None = None,
        namespace: str = "default",
        default_collection: str | None = None,
    ) -> None:
        is_given = isinstance(store, AsyncClient)
        self._client = (
            store
            if isinstance(store, AsyncClient)
            else AsyncClient(store, api_key=api_key, namespace=namespace)
        )
        super().__init__(
            client_provided_by_user=is_given,
            default_collection=default_collection,
            stable_api=True,
        )

    async def _setup(self) -> None:
        if not self._client_provided_by_user:
            await self._exit_stack.enter_async_context(self._client)

    async def _get_managed_entry(self, *, collection: str, key: str) -> ManagedEntry | None:
        return _managed(await self._client.entry(_key(collection, key)))

    async def _get_managed_entries(
        self, *, collection: str, keys: Sequence[str]
    ) -> list[ManagedEntry | None]:
        async with self._client.batch() as batch:
            found = [batch.entry(_key(collection, key)) for key in keys]
        return [_managed(one.result()) for one in found]

    async def _put_managed_entry(
        self, *, collection: str, key: str, managed_entry: ManagedEntry
    ) -> None:
        try:
            await self._client.set(
                _key(collection, key),
                managed_entry.value_as_dict,
                expires_at=_expires_at(managed_entry),
            )
        except InputError as error:
            raise SerializationError(str(error)) from error

    async def _put_managed_entries(
        self,
        *,
        collection: str,
        keys: Sequence[str],
        managed_entries: Sequence[ManagedEntry],
        ttl: float | None,
        created_at: datetime,
        expires_at: datetime | None,
    ) -> None:
        try:
            async with self._client.batch() as batch:
                for key, entry in zip(keys, managed_entries, strict=True):
                    batch.set(
                        _key(collection, key), entry.value_as_dict, expires_at=_expires_at(entry)
                    )
        except InputError as error:
            raise SerializationError(str(error)) from error

    async def _delete_managed_entry(self, *, key: str, collection: str) -> bool:
        return await self._client.take(_key(collection, key), _GONE) is not _GONE

    async def _delete_managed_entries(self, *, keys: Sequence[str], collection: str) -> int:
        async with self._client.batch() as batch:
            taken = [batch.take(_key(collection, key), _GONE) for key in keys]
        return sum(one.result() is not _GONE for one in taken)

    async def _get_collection_keys(self, *, collection: str, limit: int | None = None) -> list[str]:
        prefix = _key(collection, "")
        keys: list[str] = []
        async for entry in self._client.list(prefix):
            if len(keys) == limit:
                break
            keys.append(entry.key.removeprefix(prefix))
        return keys

    async def _get_collection_names(self, *, limit: int | None = None) -> list[str]:
        names: list[str] = []
        async for folder in self._client.folders():
            if len(names) == limit:
                break
            names.append(unquote(folder.removesuffix("/")))
        return names

    async def _delete_collection(self, *, collection: str) -> bool:
        return await self._client.delete_prefix(_key(collection, "")) > 0

    async def _delete_store(self) -> bool:
        await self._client.delete_prefix("", all=True)
        return True


def _key(collection: str, key: str) -> str:
    return f"{collection.replace('%', '%25').replace('/', '%2F')}/{key}"


def _expires_at(entry: ManagedEntry) -> float | None:
    return None if entry.expires_at is None else entry.expires_at.timestamp()


def _managed(entry: Entry | None) -> ManagedEntry | None:
    if entry is None:
        return None
    if not isinstance(entry.value, dict):
        raise DeserializationError(
            f"The value under {entry.key!r} is of type {type(entry.value).__name__}; expected an "
            "object"
        )
    at = entry.expires_at
    return ManagedEntry(
        value=entry.value, expires_at=None if at is None else datetime.fromtimestamp(at, UTC)
    )
