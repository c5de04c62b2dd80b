"""Open and close a server: its storage and its tasks, which belong to one event loop."""

import asyncio
import logging
from contextlib import suppress
from typing import Final, Protocol

from ..endpoints.public import LIVE
from ..errors import StorageError
from ..http.exchange import Exchange
from ..storage import Health, Storage
from ..storage.tasks import leave_task
from .background import Background
from .event_loop import UsedLoop

WARNINGS_SECONDS: Final = 5.0
"""How long a storage may take to return its warnings for the operator."""

LEAVE_SECONDS: Final = 1.0
"""How long a storage may take to release the resources of an event loop that has ended."""

_DAY_SECONDS: Final = 86_400.0

_LOG: Final = logging.getLogger("workertown_kv")


class Closable(Protocol):
    """An object with connections, which makes new connections when it is used again."""

    async def close(self) -> None:
        """Close all connections."""


class Lifecycle:
    """Opens the storage of a server, and closes it, for one event loop at a time."""

    def __init__(
        self,
        storage: Storage,
        health: Health,
        background: Background,
        limiter: Closable | None,
        report: Closable | None,
        *,
        works_between_requests: bool,
    ) -> None:
        self._storage = storage
        self._health = health
        self._background = background
        self._works_between_requests = works_between_requests
        self._limiter = limiter
        self._report = report
        self._used_loop = UsedLoop()
        self.opened_on: asyncio.AbstractEventLoop | None = None
        """The event loop for which the storage is open."""
        self._ending: asyncio.Task[None] | None = None
        self.warns = True
        """Whether the first opening logs the warnings of the storage."""

    async def open_for(self, exchange: Exchange) -> None:
        """Open the storage for a request.

        If that fails, a request that does not need the storage is answered all the same.
        """
        route = exchange.route
        if route.needs_storage:
            await self.open()
        elif not route.path.endswith(LIVE):  # it answers even while the storage opens
            try:
                await self.open()
            except StorageError as error:
                self._health.not_opened(error)

    async def open(self) -> None:
        """Open the storage and start the background tasks. Repeating it does no harm."""
        async with self._used_loop.claim():
            loop = asyncio.get_running_loop()
            if self.opened_on is loop:
                return
            if self.opened_on is not None:
                await self._leave()
            await self._storage.open()
            self.opened_on = loop
            self._health.opened()
            if self._works_between_requests:
                self._background.start()
                self._ending = asyncio.create_task(self._close_with_loop())
            if self.warns:  # last, since a caller may cancel it
                self.warns = False
                await self.warn()

    async def close(self) -> None:
        """Finish the operations under way and close the storage. Repeating it does no harm."""
        async with self._used_loop.claim():
            if self.opened_on is asyncio.get_running_loop():
                self.opened_on = None
                await self._background.stop()
                ending, self._ending = self._ending, None
                if ending is not None and ending is not asyncio.current_task():
                    ending.cancel()
                for closable in (self._storage, self._limiter, self._report):
                    if closable is not None:
                        await closable.close()
            elif self.opened_on is not None:
                await self._leave()
            self._used_loop.release()

    async def warn(self) -> None:
        """Log what an operator should know about the open storage."""
        try:
            async with asyncio.timeout(WARNINGS_SECONDS):
                sentences = await self._storage.warnings()
        except Exception as error:  # noqa: BLE001  (the checks of the health report it)
            _LOG.info("The warnings of the storage are not known: %s", error)
            return
        for sentence in sentences:
            _LOG.warning("%s", sentence)

    async def _close_with_loop(self) -> None:
        try:
            while True:  # noqa: ASYNC110  (it waits for its own cancellation)
                # The event loop keeps a timer alive. If only this task kept a future, both would be
                # collected, with a warning, when a process ends without ending its event loop.
                await asyncio.sleep(_DAY_SECONDS)
        except asyncio.CancelledError:
            await self.close()
            raise

    async def _leave(self) -> None:
        """Release the resources of an event loop that has ended without cancelling its tasks."""
        self.opened_on = None
        self._background.leave()
        if self._ending is not None:
            leave_task(self._ending)
        for closable in (self._storage, self._limiter):
            # Resources of another event loop may raise anything. They are not used again.
            with suppress(Exception):
                async with asyncio.timeout(LEAVE_SECONDS):
                    if closable is not None:
                        await closable.close()
