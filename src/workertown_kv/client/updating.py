"""Change a value by a function, and try again while others change it too."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from ..entry import Entry
from ..errors import PreconditionFailed, StorageFailure, StorageUnavailable
from ..operations import Get, Set, unchanged
from ..storage import Storage
from ..storage.compare_and_set import LONGEST_PAUSE_SECONDS, PATIENCE_SECONDS

FIRST_PAUSE_SECONDS = 0.001


async def update(
    storage: Storage, get: Get, replacing: Callable[[Entry | None], Awaitable[tuple[Set, Any]]]
) -> Any:
    """Write what `replacing` makes of the present entry, if the entry has not changed since.

    `replacing` returns the write and the new value. Others may change the entry meanwhile: then
    this tries again, and raises `StorageUnavailable` after some seconds.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    pause = FIRST_PAUSE_SECONDS
    while True:
        before = await storage.get(get)
        write, value = await replacing(before)
        try:
            await storage.set(msgspec.structs.replace(write, precondition=unchanged(before)))
        except PreconditionFailed as error:
            if time.monotonic() > until:
                raise StorageUnavailable(
                    "Other requests keep changing this key", StorageFailure.BUSY
                ) from error
        else:
            return value
        await asyncio.sleep(random.uniform(0, pause))  # noqa: S311  (nothing secret)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
