"""Keep a storage open for clients, from its first use on, on one event loop."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..entry import DEFAULT_NAMESPACE
from ..errors import ClientError, NamespaceExists, NamespaceNotFound
from ..options import LimitsOptions
from ..storage import Storage

if TYPE_CHECKING:
    from ..namespaces import Namespaces

SWEEP_SECONDS: Final = 1.0
"""How often the space of expired entries is reclaimed, since no server may be doing it."""
SWEEP_ENTRIES: Final = 200

T = TypeVar("T")


class Connection:
    """An open storage, shared by the clients of its namespaces."""

    def __init__(self, storage: Storage, limits: LimitsOptions, *, is_server: bool = False) -> None:
        self.storage = storage
        self.limits = limits
        self._is_server = is_server
        self._created: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()
        self._closed = asyncio.Event()
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the connection has been closed, which is final."""
        return self._closed.is_set()

    async def open(self) -> Storage:
        """Return the storage, opened. Raises `ClientError` if the client cannot be used here."""
        self._check_not_closed()
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return self.storage
        if self._loop is not None:
            raise ClientError(
                "The AsyncClient belongs to the event loop that used it first; make an AsyncClient "
                "on each event loop, or use Client"
            )
        async with self._opening:
            self._check_not_closed()
            if self._loop is None:
                try:
                    await self.storage.open()
                    self._check_not_closed()  # it may have been meanwhile
                except BaseException:
                    with suppress(Exception):
                        await self.storage.close()
                    raise
                self._loop = loop
                self._sweeping = asyncio.create_task(self._sweep())
        return self.storage

    def _check_not_closed(self) -> None:
        if self._closed.is_set():
            raise ClientError("The client is closed; make another one")

    async def close(self) -> None:
        """Finish the operations under way, end all watches and close the storage."""
        self._closed.set()
        sweeping, self._sweeping = self._sweeping, None
        if sweeping is not None:
            sweeping.cancel()
            await asyncio.wait([sweeping])
            await self.storage.close()

    async def id_of(self, namespace: str, *, create: bool) -> str:
        """Return the name that operations use for the namespace with this id or title."""
        if namespace == DEFAULT_NAMESPACE:
            return namespace
        if create and namespace not in self._created:
            await self._create(namespace)
        if self._is_server:
            return namespace  # the server looks it up with each request
        return (await self._namespaces.named(namespace)).name

    @cached_property
    def _namespaces(self) -> "Namespaces":
        from ..namespaces import namespaces_of  # noqa: PLC0415  (few programs need it)

        return namespaces_of(self.storage)

    async def _create(self, namespace: str) -> None:
        try:
            await self._namespaces.named(namespace)
        except NamespaceNotFound:
            with suppress(NamespaceExists):
                await self._namespaces.create(namespace)
        self._created.add(namespace)

    async def unless_closed(self, waits: Coroutine[Any, Any, T]) -> T | None:
        """Return what a coroutine returns, or `None` as soon as the connection is closed."""
        waiting = asyncio.ensure_future(waits)
        closing = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait([waiting, closing], return_when=asyncio.FIRST_COMPLETED)
            return None if self.is_closed else waiting.result()
        finally:
            closing.cancel()
            waiting.cancel()
            await asyncio.gather(waiting, closing, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            swept = 0
            with suppress(Exception):  # the operations of the client meet the same failure
                swept = await self.storage.sweep(SWEEP_ENTRIES)
            await asyncio.sleep(0.01 if swept else SWEEP_SECONDS)
