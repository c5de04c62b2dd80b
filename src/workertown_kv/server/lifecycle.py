"""Opening and closing a server: its storage and its tasks, which belong to one event loop."""

import asyncio
import logging
from contextlib import suppress
from typing import Final, Protocol

from ..endpoints.public import LIVE
from ..errors import StorageError
from ..http.exchange import Exchange
from ..storage import Health, Storage
from .background import Background, leave_task
from .event_loop import UsedLoop

WARNINGS_SECONDS: Final = 5.0
"""How long a storage may take to say what an operator should know."""

LEAVE_SECONDS: Final = 1.0
"""How long a storage may take to let go of what belongs to an event loop that has ended."""

_DAY_SECONDS: Final = 86_400.0

_LOG: Final = logging.getLogger("workertown_kv")


class Closable(Protocol):
    """What has connections, and makes new ones when it is used again."""

    async def close(self) -> None:
        """Let go of connections."""


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
        self._opening: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._used_loop = UsedLoop()
        self.opened_on: asyncio.AbstractEventLoop | None = None
        """The event loop for which the storage is open."""
        self._ending: asyncio.Task[None] | None = None
        self.warns = True
        """Whether opening for the first time logs what the storage warns of."""

    async def open_for(self, exchange: Exchange) -> None:
        """Open the storage for a request. A public request is answered without it, too."""
        route = exchange.route
        if not route.is_public:
            await self.open()
        elif not route.path.endswith(LIVE):  # it answers, however long the storage takes to open
            try:
                await self.open()
            except StorageError as error:
                self._health.not_opened(error)

    async def open(self) -> None:
        """Open the storage and start the tasks in the background; harmless when repeated."""
        self._used_loop.claim()
        async with self._lock():
            loop = asyncio.get_running_loop()
            if self.opened_on is loop:
                return
            if self.opened_on is not None:
                await self._leave()
            await self._storage.open()
            self.opened_on = loop
            self._health.opened()
            if self.warns:
                self.warns = False
                await self.warn()
            if self._works_between_requests:
                self._background.start()
                self._ending = asyncio.create_task(self._close_with_loop())

    async def close(self) -> None:
        """Finish what has been accepted and close the storage; harmless when repeated."""
        self._used_loop.claim()
        async with self._lock():
            if self.opened_on is asyncio.get_running_loop():
                self.opened_on = None
                await self._background.stop()
                ending, self._ending = self._ending, None
                if ending is not None and ending is not asyncio.current_task():
                    ending.cancel()
                for one in (self._storage, self._limiter, self._report):
                    if one is not None:
                        await one.close()
            elif self.opened_on is not None:
                await self._leave()
            self._used_loop.release()

    async def warn(self) -> None:
        """Log what an operator should know about the open storage."""
        try:
            async with asyncio.timeout(WARNINGS_SECONDS):
                sentences = await self._storage.warnings()
        except Exception as error:  # noqa: BLE001  (what is wrong, the checks of its health tell)
            _LOG.info("The storage does not say what to warn of: %s", error)
            return
        for sentence in sentences:
            _LOG.warning("%s", sentence)

    async def _close_with_loop(self) -> None:
        try:
            while True:  # noqa: ASYNC110  (it waits for its end, not for an event)
                # The event loop refers to a timer. A future that only this task refers to would be
                # collected with it where a process ends without ending its loop, with a warning.
                await asyncio.sleep(_DAY_SECONDS)
        except asyncio.CancelledError:
            await self.close()
            raise

    async def _leave(self) -> None:
        """Let go of what belongs to an event loop that has ended without cancelling its tasks."""
        self.opened_on = None
        self._background.leave()
        if self._ending is not None:
            leave_task(self._ending)
        for one in (self._storage, self._limiter):
            # What belongs to another event loop may raise anything. It is not used again.
            with suppress(Exception):
                async with asyncio.timeout(LEAVE_SECONDS):
                    if one is not None:
                        await one.close()

    def _lock(self) -> asyncio.Lock:
        """Return the lock that opening and closing share. A lock belongs to one event loop."""
        loop = asyncio.get_running_loop()
        if self._opening is None or self._opening[0] is not loop:
            self._opening = (loop, asyncio.Lock())
        return self._opening[1]
