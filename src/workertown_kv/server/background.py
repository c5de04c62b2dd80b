"""Watch the storage in the background, and reclaim its space in small steps."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final

from ..changes import Feed, Follower
from ..errors import StorageError, StorageUnsupported
from ..failure_log import FailureLog
from ..meters.catalogue import PURGED, SWEPT
from ..meters.metric import Measurement
from ..namespaces import Namespaces
from ..storage import Health, Storage
from ..storage.tasks import leave_task

SWEEP_SECONDS: Final = 1.0
SWEEP_ENTRIES: Final = 200
PURGE_SECONDS: Final = 60.0
PURGE_KEYS: Final = 200
FOLLOW_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.01
"""The pause between two steps, in which requests run."""


class Background:
    """Runs the background tasks of an open server."""

    def __init__(
        self,
        storage: Storage,
        namespaces: Namespaces,
        health: Health,
        feed: Feed,
        follower: Follower | None,
    ) -> None:
        self._storage = storage
        self._namespaces = namespaces
        self._health = health
        self._feed = feed
        self._follower = follower
        self._tasks: list[asyncio.Task[None]] = []
        self._swept = 0
        self._purged = 0

    def measurements(self) -> Iterator[Measurement]:
        """Return what was removed until now."""
        yield Measurement(SWEPT, self._swept)
        yield Measurement(PURGED, self._purged)

    def start(self) -> None:
        """Start the tasks on the running event loop."""
        acts = [self._health.run, self._sweep, self._purge]
        if self._follower is not None:
            acts.append(partial(self._follow, self._follower))
        self._tasks = [asyncio.create_task(act()) for act in acts]

    async def stop(self) -> None:
        """End the tasks at any point: a step is either whole or repeated after the next start."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        await asyncio.sleep(0)  # so that the feed does not read a storage that closes
        await self._health.stop()

    def leave(self) -> None:
        """End the tasks of an event loop that has ended."""
        for task in self._tasks:
            leave_task(task)
        self._tasks = []

    async def _sweep(self) -> None:
        """Reclaim the space of entries that have expired."""

        async def step() -> int:
            swept = await self._storage.sweep(SWEEP_ENTRIES)
            self._swept += swept
            return swept

        await self._repeat(
            "Sweeping expired entries",
            step,
            lambda: asyncio.sleep(SWEEP_SECONDS),
        )

    async def _purge(self) -> None:
        """Remove the keys of deleted namespaces: at once if this server deleted the namespace."""

        async def step() -> int:
            purged = await self._namespaces.purge(PURGE_KEYS)
            self._purged += purged
            return purged

        await self._repeat(
            "Removing the keys of a deleted namespace",
            step,
            lambda: self._namespaces.wait_for_deleted(PURGE_SECONDS),
        )

    async def _follow(self, follower: Follower) -> None:
        """Give a follower all changes of the storage."""

        async def step() -> int:
            await self._feed.follow(follower)
            return 0

        await self._repeat(
            "Following the changes of the storage",
            step,
            lambda: asyncio.sleep(FOLLOW_SECONDS),
            is_asked_for=True,
        )

    async def _repeat(
        self,
        what: str,
        step: Callable[[], Awaitable[int]],
        wait: Callable[[], Awaitable[None]],
        *,
        is_asked_for: bool = False,
    ) -> None:
        """Repeat a step, and wait after a step that found nothing to do.

        What the storage lacks is told only if the operator has asked for the step.
        """
        log = FailureLog()
        while True:
            done = 0
            try:
                done = await step()
            except StorageUnsupported as error:
                if is_asked_for:
                    log.failed(error.message, f"{what} is not possible: {error}")
            except StorageError as error:
                self._health.failed(error)
            except Exception as error:  # noqa: BLE001  (the next step may succeed)
                log.failed(type(error).__name__, f"{what} failed: {error}")
            else:
                log.recovered(f"{what} works again")
            await (asyncio.sleep(PAUSE_SECONDS) if done else wait())
