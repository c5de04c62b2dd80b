"""Use a store from code that blocks: the methods of `AsyncClient`, without `await`."""

import asyncio
import copy
import os
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import update_wrapper
from inspect import isawaitable
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from ..entry import DEFAULT_NAMESPACE
from ..errors import ClientError, KeyNotFound
from ..options import LimitsOptions
from ..storage import Storage
from .async_client import AsyncClient
from .batch import Batch
from .items import Items
from .loop_thread import LoopThread

P = ParamSpec("P")
T = TypeVar("T")

_MISSING = object()


class _Core(AsyncClient):
    """Does the work of a `Client`, on the event loop in its thread."""

    async def _called(self, function: Callable[[Any], Any], value: Any) -> Any:
        # In a thread, the function may take its time and use the client.
        result = await asyncio.to_thread(function, value)
        return await result if isawaitable(result) else result


def _blocking(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[Client, P], T]":
    """Make a method that waits for the result of an asynchronous method."""

    def run(client: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client.run(method(client.core, *args, **kwargs))

    update_wrapper(run, method)
    return run


def _iterating(
    method: Callable[Concatenate[AsyncClient, P], Items[T]],
) -> "Callable[Concatenate[Client, P], Generator[T]]":
    """Make a method that iterates, and waits for each page."""

    def iterate(client: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Generator[T]:
        return client.iterated(method(client.core, *args, **kwargs))

    update_wrapper(iterate, method)
    return iterate


class Client:
    """Uses a store from code that blocks. Threads may share it.

    `store` names it: the URL of a server (`https://kv.example.com`), a path (`kv.sqlite`), a
    database (`postgres://…`), `memory://`, or a `Storage` of your own. `api_key` is for a
    server, or the token of a database that takes one beside its URL (`libsql://…`, `d1://…`,
    `cloudflare-kv://…`). Without it, the token in the variable `KV_TOKEN` is used, or for
    Cloudflare that in `CLOUDFLARE_API_TOKEN`. `limits` apply unless the store is a server,
    which has its own. The client opens with its first use. Close it with `with` or `close()`.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | Storage,
        *,
        api_key: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        limits: LimitsOptions | None = None,
    ) -> None:
        self.core = _Core(store, api_key=api_key, namespace=namespace, limits=limits)
        self._thread = LoopThread(self.core.close)
        self._is_owner = True

    def __enter__(self) -> Self:
        self.run(self.core.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all watches and release the store. The clients of other namespaces close nothing."""
        if self._is_owner:
            self._thread.close()

    def namespace(self, name: str, *, create: bool = False) -> Self:
        """Return a client for another namespace, by its id or title, that shares the connection.

        With `create`, the namespace is created when it is first used, unless it exists.
        """
        client = copy.copy(self)
        client.core = self.core.namespace(name, create=create)
        client._is_owner = False  # noqa: SLF001  (it has the same class)
        return client

    get = _blocking(AsyncClient.get)
    entry = _blocking(AsyncClient.entry)
    exists = _blocking(AsyncClient.exists)
    set = _blocking(AsyncClient.set)
    delete = _blocking(AsyncClient.delete)
    touch = _blocking(AsyncClient.touch)
    increment = _blocking(AsyncClient.increment)
    patch = _blocking(AsyncClient.patch)
    take = _blocking(AsyncClient.take)
    update = _blocking(AsyncClient.update)
    list = _iterating(AsyncClient.list)
    folders = _iterating(AsyncClient.folders)
    delete_prefix = _blocking(AsyncClient.delete_prefix)
    watch = _iterating(AsyncClient.watch)

    @contextmanager
    def batch(self, *, atomic: bool = False) -> Iterator[Batch]:
        """Collect operations in a `with` block, and send them together at its end.

        The end of the block raises the first error of an operation; the others happen nevertheless.
        With `atomic`, all of them happen at one moment, or none does.
        """
        batch = self.run(self.core.new_batch())
        yield batch
        self.run(self.core.send(batch, atomic=atomic))

    def __contains__(self, key: str) -> bool:
        return self.exists(key)

    def __getitem__(self, key: str) -> Any:
        value = self.get(key, _MISSING)
        if value is _MISSING:
            raise KeyNotFound(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        if self.take(key, _MISSING) is _MISSING:
            raise KeyNotFound(key)

    def __iter__(self) -> Iterator[str]:
        for entry in self.list():
            yield entry.key

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the event loop of the client."""
        return self._thread.run(coroutine)

    def iterated(self, items: Items[T]) -> Generator[T]:
        """Iterate over items, page by page."""
        try:
            while (page := self.run(items.next_page())) is not None:
                yield from page
        finally:
            with suppress(ClientError):  # it may be closed
                self.run(items.aclose())
