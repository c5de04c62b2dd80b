"""Update entries by comparing and setting, for engines that cannot decide between the two."""

import asyncio
import random
import time
from typing import Final, Protocol
from weakref import WeakValueDictionary

import msgspec

from ..entry import Entry
from ..errors import PreconditionFailed, StorageFailure, StorageUnavailable
from ..operations import Delete, Get, Set, Touch, Update, Updated, unchanged
from .batch import guarded, touched

PATIENCE_SECONDS: Final = 10.0
"""How long an update tries again while other requests keep changing its entry."""

LONGEST_PAUSE_SECONDS: Final = 0.1
_FIRST_PAUSE_SECONDS: Final = 0.001


class Comparing(Protocol):
    """The operations of a storage by which an update compares and sets."""

    async def get(self, operation: Get) -> Entry | None:
        """Return the present entry."""

    async def set(self, operation: Set) -> str:
        """Write the entry if its precondition holds."""

    async def delete(self, operation: Delete) -> None:
        """Remove the entry if its precondition holds."""

    async def touch(self, operation: Touch) -> str | None:
        """Change the lifetime if the precondition holds."""


_TURNS: Final[WeakValueDictionary[tuple[Comparing, str, str], asyncio.Lock]] = WeakValueDictionary()
"""The updates of one key in this process take turns, so that they do not disturb one another."""


async def compare_and_set(storage: Comparing, operation: Update) -> Updated:
    """Update an entry as `Storage.update` promises, in a storage that decides preconditions."""
    until = time.monotonic() + PATIENCE_SECONDS
    pause = _FIRST_PAUSE_SECONDS
    at = (storage, operation.namespace, operation.key)
    lock = _TURNS.get(at)
    if lock is None:
        lock = _TURNS[at] = asyncio.Lock()
    async with lock:
        while True:
            before = await storage.get(Get(operation.namespace, operation.key))
            write = operation.decide(guarded(operation, before))
            if write is None:
                return Updated(before, before)
            write = msgspec.structs.replace(write, precondition=unchanged(before))
            try:
                match write:
                    case Set():
                        return Updated(before, write.entry(await storage.set(write)))
                    case Touch():
                        await storage.touch(write)
                        return Updated(before, touched(before, write))
                    case Delete():
                        await storage.delete(write)
                        return Updated(before, None)
            except PreconditionFailed as error:
                if time.monotonic() > until:
                    raise StorageUnavailable(
                        "Other requests keep changing this key", StorageFailure.BUSY
                    ) from error
            # Updates that lost together would otherwise meet again.
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311  (nothing secret)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
