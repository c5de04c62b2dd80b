"""Gathers operations that wait for a remote engine, so that they share round trips."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from enum import Enum
from time import perf_counter
from typing import Any, Final, Generic, Literal, TypeVar

from ..errors import KvError, StorageUnavailable
from .group_meter import GroupMeter
from .tasks import OutcomeFuture, in_task
from .trace_fields import TRACE_FIELDS

MOST_GROUPS: Final = 2
"""How many groups are under way at the same time."""

MOST_JOBS: Final = 100
"""A larger group saves little more, and makes its first job wait for the last."""

MOST_BYTES: Final = 1024 * 1024
"""A group that has jobs of so many bytes takes no more."""


class Apart(Enum):
    """The outcome of a job that its group did not do."""

    APART = "apart"


APART: Final = Apart.APART

_Job = TypeVar("_Job")
_Outcome = TypeVar("_Outcome")


class _Waiting(Generic[_Job, _Outcome]):
    __slots__ = ("deadline", "future", "job", "size", "trace_fields")

    def __init__(
        self,
        job: _Job,
        size: int,
        future: OutcomeFuture[_Outcome | Literal[Apart.APART]],
        deadline: float,
    ) -> None:
        self.job = job
        self.size = size
        self.future = future
        self.deadline = deadline
        self.trace_fields = TRACE_FIELDS.get()


class Gathering(Generic[_Job, _Outcome]):
    """Does up to two jobs at once, and the jobs that arrive meanwhile together.

    `alone` does one job. `together` does several jobs in one round trip and returns the outcome of
    each, in order: a result, the error to raise, or `APART` for a job that `alone` should do. An
    error that `together` raises is the outcome of all its jobs if it is `StorageUnavailable`. After
    any other error, which means that nothing was done, `alone` does each job.

    A job waits for `seconds`, even if the round trip takes longer. `late` makes the error that is
    raised then, from whether the job was sent and may still be done.
    """

    def __init__(
        self,
        alone: Callable[[_Job], Coroutine[Any, Any, _Outcome]],
        together: Callable[
            [Sequence[_Job]], Awaitable[Sequence[_Outcome | KvError | Literal[Apart.APART]]]
        ],
        *,
        seconds: float,
        late: Callable[[bool], KvError],
        meter: GroupMeter | None = None,
    ) -> None:
        self._alone = alone
        self._together = together
        self._seconds = seconds
        self._late = late
        self._meter = meter or GroupMeter("all")
        self._waiting: deque[_Waiting[_Job, _Outcome]] = deque()
        self._groups: dict[
            asyncio.Task[Sequence[_Outcome | Exception | Literal[Apart.APART]]],
            Sequence[_Waiting[_Job, _Outcome]],
        ] = {}
        self._free = MOST_GROUPS
        self._is_leaving = False
        self._timer: asyncio.TimerHandle | None = None
        self._accepted = 0
        self._is_closed = False
        self._finished = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    async def join(self, job: _Job, size: int = 0) -> _Outcome:
        """Return the result of a job of `size` bytes. Raises its error.

        The job is never part of a round trip that began before. Its caller may be cancelled, which
        changes nothing for other jobs.
        """
        if self._is_closed:
            raise StorageUnavailable("The storage is closed")
        self._accepted += 1
        try:
            if not self._free or self._accepted > MOST_GROUPS:
                outcome = await self._gathered(job, size)
                return await in_task(self._alone(job)) if outcome is APART else outcome
            self._free -= 1
            began = perf_counter()
            try:
                return await in_task(self._alone(job))
            finally:
                self._meter.add(1, perf_counter() - began)
                self._free += 1
                self._leave()
        finally:
            self._accepted -= 1
            if not self._accepted:
                self._finished.set()

    async def close(self) -> None:
        """Finish the jobs that were accepted, and refuse others."""
        self._is_closed = True
        while self._accepted:
            self._finished.clear()
            await self._finished.wait()
        if self._timer is not None:
            self._timer.cancel()

    async def _gathered(self, job: _Job, size: int) -> _Outcome | Literal[Apart.APART]:
        loop = asyncio.get_running_loop()
        future: OutcomeFuture[_Outcome | Literal[Apart.APART]] = OutcomeFuture(loop=loop)
        deadline = loop.time() + self._seconds
        self._waiting.append(_Waiting(job, size, future, deadline))
        if self._free and not self._is_leaving:
            # Jobs that arrive in the same turn of the event loop leave together.
            self._is_leaving = True
            loop.call_soon(self._leave)
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire)
        return await future

    def _leave(self) -> None:
        self._is_leaving = False
        while self._free and (group := self._next_group()):
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._run(group))
            self._groups[task] = group
            task.add_done_callback(self._end)

    def _next_group(self) -> Sequence[_Waiting[_Job, _Outcome]]:
        group: list[_Waiting[_Job, _Outcome]] = []
        size = 0
        while self._waiting and len(group) < MOST_JOBS and size < MOST_BYTES:
            one = self._waiting.popleft()
            if not one.future.done():
                group.append(one)
                size += one.size
        return group

    async def _run(
        self, group: Sequence[_Waiting[_Job, _Outcome]]
    ) -> Sequence[_Outcome | Exception | Literal[Apart.APART]]:
        # The task began wherever the group before ended, which belongs to other requests.
        TRACE_FIELDS.set(group[0].trace_fields)
        began = perf_counter()
        try:
            if len(group) == 1:
                return [await self._alone(group[0].job)]
            return await self._together([one.job for one in group])
        except Exception as error:  # noqa: BLE001  (it is raised where the jobs came from)
            refused = isinstance(error, KvError) and not isinstance(error, StorageUnavailable)
            return [APART if refused and len(group) > 1 else error] * len(group)
        finally:
            self._meter.add(len(group), perf_counter() - began)

    def _end(
        self, task: asyncio.Task[Sequence[_Outcome | Exception | Literal[Apart.APART]]]
    ) -> None:
        group = self._groups.pop(task)
        self._free += 1
        self._leave()
        if not task.cancelled():
            for one, outcome in zip(group, task.result(), strict=True):
                one.future.end(outcome)

    def _expire(self) -> None:
        """Raise an error for the jobs whose time is over, and come back for the next one."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        together: list[tuple[bool, Collection[_Waiting[_Job, _Outcome]]]] = [(False, self._waiting)]
        together += [(True, group) for group in self._groups.values()]
        left: list[float] = []
        for sent, group in together:
            for one in group:
                if one.future.done():
                    continue
                if one.deadline > now:
                    left.append(one.deadline)
                else:
                    one.future.end(self._late(sent))
        self._timer = loop.call_at(min(left), self._expire) if left else None
