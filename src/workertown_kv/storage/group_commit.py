"""Group commit: what is waiting to be written shares one transaction, and so one fsync."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from ..errors import StorageUnavailable

_Job = TypeVar("_Job")
_Done = TypeVar("_Done")

MOST_JOBS = 256
"""A larger group saves little more and lets the first in it wait for the last."""


class GroupCommit(Generic[_Job, _Done]):
    """One thread that commits; whatever arrives in the meantime is the next group.

    `commit` gets a group and returns what came of each job, in order: a result, or the exception
    to raise where that job was submitted. Where `commit` itself raises, the whole group does.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[_Job]], Sequence[_Done | Exception]],
        executor: ThreadPoolExecutor,
    ) -> None:
        self._commit = commit
        self._executor = executor
        self._waiting: list[tuple[_Job, asyncio.Future[_Done]]] = []
        self._running: asyncio.Task[None] | None = None
        self._closed = False

    async def submit(self, job: _Job) -> _Done:
        """What came of the job, once the group that it is part of has been committed."""
        if self._closed:
            raise StorageUnavailable("The storage is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Done] = loop.create_future()
        self._waiting.append((job, future))
        if self._running is None or self._running.done():
            self._running = loop.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Finish everything that was submitted."""
        self._closed = True
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = self._waiting[:MOST_JOBS]
            del self._waiting[:MOST_JOBS]
            jobs = [job for job, _ in group]
            try:
                outcomes = await loop.run_in_executor(self._executor, self._commit, jobs)
            except Exception as error:  # noqa: BLE001  (it is raised again, where the jobs came from)
                outcomes = [error] * len(group)
            for (_, future), outcome in zip(group, outcomes, strict=True):
                if future.cancelled():
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
        self._running = None
