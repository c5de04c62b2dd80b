"""Serve callers that run without a task: see `Storage.needs_task`."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class OutcomeFuture(asyncio.Future[_T]):
    """A future whose awaiting code needs no task afterwards, either."""


def in_task(coroutine: Coroutine[Any, Any, _T]) -> Awaitable[_T]:
    """Return the coroutine, in a task of its own if no task runs.

    For code that needs a task, as `asyncio.timeout` does.
    """
    if asyncio.current_task() is not None:
        return coroutine
    return asyncio.get_running_loop().create_task(coroutine)
