"""Run what needs a task, as `asyncio.timeout` does, for callers without one: see `needs_task`."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def in_task(coroutine: Coroutine[Any, Any, _T]) -> Awaitable[_T]:
    """Return the coroutine, in a task of its own if no task runs."""
    if asyncio.current_task() is not None:
        return coroutine
    return asyncio.get_running_loop().create_task(coroutine)
