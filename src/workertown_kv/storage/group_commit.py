"""Group commit: what is waiting to be written shares one transaction, and so one fsync."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from ..errors import StorageUnavailable

_Job = TypeVar("_Job")
_Done = TypeVar("_Done")

MOST_JOBS: Final = 256
MOST_BYTES: Final = 16 * 1024 * 1024
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
        self._waiting: deque[tuple[_Job, int, asyncio.Future[_Done]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._closed = False

    async def submit(self, job: _Job, size: int = 0) -> _Done:
        """What came of the job, of `size` bytes, once the group it is part of is committed."""
        if self._closed:
            raise StorageUnavailable("The storage is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Done] = loop.create_future()
        running = self._running
        if running is not None and not running.done() and running.get_loop() is not loop:
            raise RuntimeError("A storage belongs to one event loop at a time")
        self._waiting.append((job, size, future))
        if running is None or running.done():
            self._running = loop.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Finish everything that was submitted."""
        self._closed = True
        if self._running is not None and not self._running.done():
            await self._running

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            jobs, futures = self._next_group()
            try:
                outcomes = await loop.run_in_executor(self._executor, self._commit, jobs)
            except Exception as error:  # noqa: BLE001  (it is raised again, where the jobs came from)
                outcomes = [error] * len(jobs)
            for future, outcome in zip(futures, outcomes, strict=True):
                if future.cancelled():
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)

    def _next_group(self) -> tuple[list[_Job], list[asyncio.Future[_Done]]]:
        jobs: list[_Job] = []
        futures: list[asyncio.Future[_Done]] = []
        total = 0
        while self._waiting and len(jobs) < MOST_JOBS and total < MOST_BYTES:
            job, size, future = self._waiting.popleft()
            jobs.append(job)
            futures.append(future)
            total += size
        return jobs, futures
