"""Commit waiting writes as a group: they share one transaction, and so one fsync."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import get_ident
from typing import Final, Generic, TypeVar

from ...errors import StorageFailure, StorageUnavailable
from ..group_meter import GroupMeter
from ..tasks import OutcomeFuture

_Job = TypeVar("_Job")
_Done = TypeVar("_Done")
_Waiting = tuple[_Job, int, float, OutcomeFuture[_Done]]
"""A job, its size, the moment until which it may wait, and the future of its outcome."""

MOST_JOBS: Final = 256
MOST_BYTES: Final = 4 * 1024 * 1024
"""A larger group saves little more, and its first job waits for the last."""

LARGE_BYTES: Final = 64 * 1024
"""Larger jobs have groups of their own, so that fewer short jobs wait for them."""


class GroupCommit(Generic[_Job, _Done]):
    """Commits in one thread; the jobs that arrive in the meantime are the next group.

    `start` gets a group on the event loop, and may do what takes no time; it returns `None` if it
    did nothing. If commits take no time either, `commit_now` ends what `start` has begun, on the
    event loop too, and returns whether it did. Otherwise `commit` gets the group, the moment of
    `time.monotonic()` until which it may wait for a lock, and what `start` returned, in the thread.
    It returns the outcome of each job, in order: a result, or the exception that `submit` raises.
    If `start` did something, `confirm` runs at the end, on the event loop, with the group, or with
    `None` if the commit failed: a thread beside a busy event loop waits after each call of the
    system.
    If any of them raises, so does `submit` for the whole group, with one exception: if
    the storage is busy, the jobs that have waited less than `wait_seconds` are tried again.
    """

    def __init__(
        self,
        start: Callable[[Sequence[_Job]], Sequence[_Done | Exception] | None],
        commit_now: Callable[[], bool],
        commit: Callable[
            [Sequence[_Job], float, Sequence[_Done | Exception] | None],
            Sequence[_Done | Exception],
        ],
        confirm: Callable[[Sequence[_Job] | None], None],
        executor: ThreadPoolExecutor,
        wait_seconds: float,
        meter: GroupMeter,
    ) -> None:
        self._start = start
        self._commit_now = commit_now
        self._commit = commit
        self._confirm = confirm
        self._executor = executor
        self._wait_seconds = wait_seconds
        self._meter = meter
        self._began = 0.0
        """When the group began that is being committed."""
        self._waiting: deque[_Waiting[_Job, _Done]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The event loop of the group that is being committed."""
        self._thread = 0
        """The thread of that event loop: asking for the running loop takes a call of the system."""
        self._idle: asyncio.Future[None] | None = None
        """What `close` waits for."""
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many jobs wait for the next group."""
        return len(self._waiting)

    async def submit(self, job: _Job, size: int = 0) -> _Done:
        """Return the result of a job of `size` bytes, once its group is committed."""
        if self._closed:
            raise StorageUnavailable("The storage is closed")
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
            self._thread = get_ident()
            loop.call_soon(self._begin, loop)  # with all jobs of this turn of the event loop
        elif self._thread != get_ident() or loop.is_closed():
            raise RuntimeError("A storage belongs to one event loop at a time")
        future: OutcomeFuture[_Done] = OutcomeFuture(loop=loop)
        self._waiting.append((job, size, time.monotonic() + self._wait_seconds, future))
        return await future

    async def close(self) -> None:
        """Finish all submitted jobs."""
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    # A turn of a busy event loop takes milliseconds. So these are plain callbacks: a task would
    # need several turns for each group.

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin the next group, if jobs are waiting."""
        if not self._waiting:
            self._loop = None
            if self._idle is not None and not self._idle.done():
                self._idle.set_result(None)
            return
        self._began = time.monotonic()
        group = self._next_group()
        jobs = [job for job, _, _, _ in group]
        started: Sequence[_Done | Exception] | None = None
        outcomes: Sequence[_Done | Exception] | Exception
        try:
            started = self._start(jobs)
            if started is None or not self._commit_now():
                self._executor.submit(self._work, loop, group, jobs, started)
                return
            outcomes = started
        except Exception as error:  # noqa: BLE001  (`submit` raises it)
            outcomes = error
        self._end(group, jobs, outcomes, is_unconfirmed=started is not None)
        loop.call_soon(self._begin, loop)  # not at once: others have their turn first

    def _work(
        self,
        loop: asyncio.AbstractEventLoop,
        group: list[_Waiting[_Job, _Done]],
        jobs: Sequence[_Job],
        started: Sequence[_Done | Exception] | None,
    ) -> None:
        """Commit a group, in the thread."""
        outcomes: Sequence[_Done | Exception] | Exception
        try:
            outcomes = self._commit(jobs, group[0][2], started)
        except Exception as error:  # noqa: BLE001  (`submit` raises it)
            outcomes = error
        with suppress(RuntimeError):  # the event loop has ended meanwhile
            is_unconfirmed = started is not None
            loop.call_soon_threadsafe(self._finish, loop, group, jobs, outcomes, is_unconfirmed)

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        group: list[_Waiting[_Job, _Done]],
        jobs: Sequence[_Job],
        outcomes: Sequence[_Done | Exception] | Exception,
        is_unconfirmed: bool,
    ) -> None:
        self._end(group, jobs, outcomes, is_unconfirmed=is_unconfirmed)
        self._begin(loop)

    def _end(
        self,
        group: list[_Waiting[_Job, _Done]],
        jobs: Sequence[_Job],
        outcomes: Sequence[_Done | Exception] | Exception,
        *,
        is_unconfirmed: bool,
    ) -> None:
        """Return the outcomes of a group to where its jobs were submitted."""
        self._meter.add(len(group), time.monotonic() - self._began)
        if is_unconfirmed:
            try:
                self._confirm(None if isinstance(outcomes, Exception) else jobs)
            except Exception as lost:  # noqa: BLE001  (`submit` raises it)
                outcomes = lost
        if isinstance(outcomes, Exception):
            error = outcomes
            if isinstance(error, StorageUnavailable) and error.kind is StorageFailure.BUSY:
                group = self._given_up(group)
            outcomes = [error] * len(group)
        for (_, _, _, future), outcome in zip(group, outcomes, strict=True):
            future.end(outcome)

    def _next_group(self) -> list[_Waiting[_Job, _Done]]:
        group = [self._waiting.popleft()]
        total = group[0][1]
        is_large = total > LARGE_BYTES
        while self._waiting and len(group) < MOST_JOBS and total < MOST_BYTES:
            size = self._waiting[0][1]
            if (size > LARGE_BYTES) is not is_large:
                break
            group.append(self._waiting.popleft())
            total += size
        return group

    def _given_up(self, group: list[_Waiting[_Job, _Done]]) -> list[_Waiting[_Job, _Done]]:
        """Return the jobs to give up, at least the first; put the others back to wait longer."""
        now = time.monotonic()
        given_up = 1
        while given_up < len(group) and group[given_up][2] <= now:
            given_up += 1
        self._waiting.extendleft(reversed(group[given_up:]))
        return group[:given_up]
