"""What a server does beside answering: reclaiming the space of what is gone, in small steps."""

import asyncio
import logging
from typing import Final

from ..storage import Namespaces, Storage

SWEEP_SECONDS: Final = 1.0
SWEEP_ENTRIES: Final = 200
PURGE_SECONDS: Final = 60.0
PURGE_KEYS: Final = 200

_LOG: Final = logging.getLogger("workertown_kv")


class Background:
    """The tasks of one open server."""

    def __init__(self, storage: Storage, namespaces: Namespaces) -> None:
        self._storage = storage
        self._namespaces = namespaces
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._tasks = [asyncio.create_task(one()) for one in (self._sweep, self._purge)]

    def stop(self) -> None:
        """End, wherever they are: each step is whole, or done again by the next who begins."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    async def _sweep(self) -> None:
        """Reclaim the space of entries that have expired, with pauses between the steps."""
        while True:
            swept = 0
            try:
                swept = await self._storage.sweep(SWEEP_ENTRIES)
            except Exception as error:  # noqa: BLE001  (the next step may succeed)
                _LOG.warning("Sweeping expired entries failed: %s", error)
            await asyncio.sleep(0.01 if swept else SWEEP_SECONDS)

    async def _purge(self) -> None:
        """Remove the keys of deleted namespaces: of those deleted here at once."""
        while True:
            purged = 0
            try:
                purged = await self._namespaces.purge(PURGE_KEYS)
            except Exception as error:  # noqa: BLE001  (the next step may succeed)
                _LOG.warning("Removing the keys of a deleted namespace failed: %s", error)
            if purged:
                await asyncio.sleep(0.01)
            else:
                await self._namespaces.wait_for_deleted(PURGE_SECONDS)
