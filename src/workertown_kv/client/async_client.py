"""Use a store from code that awaits. `Client` has the same methods for code that blocks."""

import copy
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import update_wrapper
from inspect import isawaitable
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from .. import entry as stored
from ..entry import DEFAULT_NAMESPACE
from ..errors import InputError, KvError
from ..operations import (
    Delete,
    DeletePrefix,
    Get,
    List,
    Operation,
    Page,
    Result,
    Set,
    Touch,
    Update,
)
from ..options import LimitsOptions
from ..storage import Storage
from .arguments import check_namespace, check_text
from .batch import Batch
from .connection import Connection
from .entry import Change, Entry, entry_of, value_of
from .items import Items
from .key_operations import KeyOperations, Prepared
from .opening import connect
from .updating import update

P = ParamSpec("P")
T = TypeVar("T")

PAGE_KEYS = 1000
PAGE_BYTES = 8 * 1024 * 1024
"""The most bytes of values on a page of a listing."""
MOST_DELETED = 10_000
"""The most keys that one step of `delete_prefix` deletes."""


def _awaited(
    method: Callable[Concatenate[KeyOperations, P], Prepared[T]],
) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]":
    """Make a method that runs the operation at once."""

    async def run(client: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        storage, key_operations = await client.opened()
        prepared = method(key_operations, *args, **kwargs)
        return prepared.outcome(await _result(storage, prepared.operation))

    update_wrapper(run, method)
    return run


class AsyncClient:
    """Uses a store from code that awaits.

    `store` names it: the URL of a server (`https://kv.example.com`), a path (`kv.sqlite`), a
    database (`postgres://…`), `memory://`, or a `Storage` of your own. `api_key` is for a
    server, or the token of a database that takes one beside its URL (`libsql://…`, `d1://…`,
    `cloudflare-kv://…`). Without it, the token in the variable `KV_TOKEN` is used, or for
    Cloudflare that in `CLOUDFLARE_API_TOKEN`. `limits` apply unless the store is a server,
    which has its own. The client opens with its first use, and belongs to the event loop of
    that use. Close it with `async with` or `close()`.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | Storage,
        *,
        api_key: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        limits: LimitsOptions | None = None,
    ) -> None:
        check_namespace(namespace)
        self._connection: Connection = connect(store, api_key=api_key, limits=limits)
        self._namespace = namespace
        self._may_create = False
        self._is_owner = True

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all watches and release the store. The clients of other namespaces close nothing."""
        if self._is_owner:
            await self._connection.close()

    def namespace(self, name: str, *, create: bool = False) -> Self:
        """Return a client for another namespace, by its id or title, that shares the connection.

        With `create`, the namespace is created when it is first used, unless it exists.
        """
        check_namespace(name)
        client = copy.copy(self)
        client._bind(name, may_create=create)  # noqa: SLF001  (it has the same class)
        return client

    def _bind(self, namespace: str, *, may_create: bool) -> None:
        self._namespace, self._may_create, self._is_owner = namespace, may_create, False

    get = _awaited(KeyOperations.get)
    entry = _awaited(KeyOperations.entry)
    exists = _awaited(KeyOperations.exists)
    set = _awaited(KeyOperations.set)
    delete = _awaited(KeyOperations.delete)
    touch = _awaited(KeyOperations.touch)
    increment = _awaited(KeyOperations.increment)
    patch = _awaited(KeyOperations.patch)
    take = _awaited(KeyOperations.take)

    async def update(
        self,
        key: str,
        function: Callable[[Any], Any],
        default: Any = None,
        *,
        ttl: int | None = None,
        expires_at: float | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | UnsetType | None = UNSET,
    ) -> Any:
        """Replace a value by what `function` returns for it, and return the new value.

        If others change the key meanwhile, `function` is called again with the newer value. A key
        without a value gives it `default`. The lifetime and the metadata stay, unless given. If
        `function` raises an error, nothing is written.
        """
        storage, operations = await self.opened()
        get = operations.get(key).operation
        assert isinstance(get, Get)

        async def replacing(present: stored.Entry | None) -> tuple[Set, Any]:
            # The function may change the value that it gets, and may be called again.
            old = copy.deepcopy(default) if present is None else value_of(present)
            new = await self._called(function, old)
            write = operations.set(
                key,
                new,
                ttl=ttl,
                expires_at=None if expires_at is UNSET else expires_at,
                metadata=None if metadata is UNSET else metadata,
            ).operation
            assert isinstance(write, Set)
            if present is not None and ttl is None and expires_at is UNSET:
                write = msgspec.structs.replace(write, expires_at=present.expires_at)
            if present is not None and metadata is UNSET:
                write = msgspec.structs.replace(write, metadata=present.metadata)
            return write, new

        return await update(storage, get, replacing)

    def list(
        self,
        prefix: str = "",
        *,
        reverse: bool = False,
        start_after: str | None = None,
        values: bool = False,
    ) -> Items[Entry]:
        """Iterate over the entries whose keys begin with `prefix`, in the order of their keys.

        Pages are read as they are needed. Entries have their values only with `values=True`.
        `start_after` skips all keys up to this key.
        """
        check_text(prefix, "prefix")

        async def pages() -> AsyncGenerator[Sequence[Entry]]:
            storage, operations = await self.opened()
            operation = List(
                operations.namespace, prefix, PAGE_KEYS, start_after=start_after, is_reverse=reverse
            )
            async for page in _pages(storage, operation, values=values):
                yield [entry_of(info) for info in page.keys]

        return Items(pages())

    def folders(
        self, prefix: str = "", *, delimiter: str = "/", reverse: bool = False
    ) -> Items[str]:
        """Iterate over the folders directly below `prefix`.

        A folder is what keys have in common up to the next `delimiter`, and ends with it.
        """
        check_text(prefix, "prefix")
        check_text(delimiter, "delimiter")
        if not delimiter:
            raise InputError("The delimiter is empty; expected what ends a folder, such as '/'")

        async def pages() -> AsyncGenerator[Sequence[str]]:
            storage, operations = await self.opened()
            operation = List(
                operations.namespace, prefix, PAGE_KEYS, is_reverse=reverse, delimiter=delimiter
            )
            async for page in _pages(storage, operation, values=False):
                yield page.folders

        return Items(pages())

    async def delete_prefix(self, prefix: str, *, all: bool = False) -> int:
        """Delete all keys that begin with `prefix`, and return how many there were.

        An empty prefix stands for all keys of the namespace, and needs `all=True`.
        """
        check_text(prefix, "prefix")
        if not prefix and not all:
            raise InputError(
                "The prefix is empty; to delete all keys of the namespace, pass all=True as well"
            )
        storage, operations = await self.opened()
        operation = DeletePrefix(operations.namespace, prefix, MOST_DELETED)
        deleted = 0
        while True:
            step = await storage.delete_prefix(operation)
            deleted += step.deleted
            if step.cursor is None:
                return deleted
            operation = msgspec.structs.replace(operation, cursor=step.cursor)

    def watch(self, *prefixes: str, initial: bool = False, values: bool = False) -> Items[Change]:
        """Iterate over the changes of keys that begin with one of `prefixes`, as they happen.

        The iteration never ends, unless the client is closed. After a failure, it goes on where it
        was. With `initial`, all entries come first, as if they were being set, and then a change
        `ready`. With `values`, changes have the new values of up to 64 KiB.
        """
        for prefix in prefixes:
            check_text(prefix, "prefix")

        async def pages() -> AsyncGenerator[Sequence[Change]]:
            from .watching import watch  # noqa: PLC0415  (few programs need it)

            _, operations = await self.opened()
            async for page in watch(
                self._connection, operations.namespace, prefixes, initial=initial, values=values
            ):
                yield page

        return Items(pages())

    @asynccontextmanager
    async def batch(self, *, atomic: bool = False) -> AsyncIterator[Batch]:
        """Collect operations in an `async with` block, and send them together at its end.

        The end of the block raises the first error of an operation; the others happen nevertheless.
        With `atomic`, all of them happen at one moment, or none does.
        """
        batch = await self.new_batch()
        yield batch
        await self.send(batch, atomic=atomic)

    async def new_batch(self) -> Batch:
        """Return an empty batch, for `send`."""
        _, operations = await self.opened()
        return Batch(operations, self._connection.limits)

    async def send(self, batch: Batch, *, atomic: bool = False) -> None:
        """Send a batch, and raise the first error of an operation."""
        await batch.send(await self._connection.open(), atomic=atomic)

    async def opened(self) -> tuple[Storage, KeyOperations]:
        """Return the open storage, and what makes operations on the keys of the namespace."""
        connection = self._connection
        storage = await connection.open()
        name = await connection.id_of(self._namespace, create=self._may_create)
        return storage, KeyOperations(name, connection.limits, storage.clock)

    async def _called(self, function: Callable[[Any], Any], value: Any) -> Any:
        """Call a function of the user, which may be asynchronous."""
        result = function(value)
        return await result if isawaitable(result) else result

    async def __aiter__(self) -> AsyncIterator[str]:
        async for entry in self.list():
            yield entry.key


async def _result(storage: Storage, operation: Operation) -> Result:
    """Return the result of an operation as a batch would."""
    try:
        match operation:
            case Get():
                return await storage.get(operation)
            case Set():
                return await storage.set(operation)
            case Delete():
                await storage.delete(operation)
                return None
            case Touch():
                return await storage.touch(operation)
            case Update():
                return await storage.update(operation)
    except KvError as error:
        return error


async def _pages(storage: Storage, operation: List, *, values: bool) -> AsyncIterator[Page]:
    while True:
        page = (
            await storage.list_entries(operation, PAGE_BYTES)
            if values
            else await storage.list(operation)
        )
        yield page
        if page.cursor is None:
            return
        operation = msgspec.structs.replace(operation, cursor=page.cursor)
