"""Serve callers that run without a task (see `Storage.needs_task`), and end tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


class OutcomeFuture(asyncio.Future[_T]):
    """A future whose awaiting code needs no task afterwards, either.

    `end` calls that code at once, if it is not in a task: each turn of a busy event loop that it
    would wait for takes a millisecond.
    """

    then: Callable[[], None] | None = None
    """Called at the end, instead of the task that waits."""

    def end(self, outcome: _T | Exception) -> None:
        """Set the result or, if the outcome is an exception, the exception.

        Does nothing if the future has ended. No task may call this, since the code that continues
        would take that task for its own.
        """
        if self.done():
            return
        if isinstance(outcome, Exception):
            self.set_exception(outcome)
        else:
            self.set_result(outcome)
        then, self.then = self.then, None
        if then is not None:
            then()


def in_task(coroutine: Coroutine[Any, Any, _T]) -> Awaitable[_T]:
    """Return the coroutine, in a task of its own if no task runs.

    For code that needs a task, as `asyncio.timeout` does.
    """
    if asyncio.current_task() is not None:
        return coroutine
    return asyncio.get_running_loop().create_task(coroutine)


def leave_task(task: asyncio.Task[None]) -> None:
    """End a task, also of an event loop that does not run, and may never run again."""
    if not task.get_loop().is_closed():
        task.cancel()
        return
    coroutine = task.get_coro()
    assert isinstance(coroutine, Coroutine)
    # If it waits in `asyncio.timeout`, the garbage collector may crash Python 3.11 by closing it.
    with suppress(RuntimeError):
        coroutine.close()
