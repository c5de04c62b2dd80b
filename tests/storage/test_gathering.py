"""Test that jobs that wait for an engine leave together, each with its own outcome."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from workertown_kv.errors import KvError, StorageError, StorageUnavailable
from workertown_kv.storage.gathering import APART, MOST_BYTES, MOST_JOBS, Gathering
from workertown_kv.storage.trace_fields import TRACE_FIELDS

pytestmark = pytest.mark.anyio


class Engine:
    """Answers each job with itself, in the order that a test chooses."""

    def __init__(self, seconds: float = 60) -> None:
        self.jobs: list[asyncio.Task[str]] = []
        self.sent: list[tuple[Sequence[str], asyncio.Future[Any]]] = []
        self.gathering: Gathering[str, str] = Gathering(
            self._alone,
            self._together,
            seconds=seconds,
            late=lambda sent: StorageUnavailable(f"late, sent: {sent}"),
        )

    @property
    def groups(self) -> list[str]:
        return ["".join(jobs) for jobs, _ in self.sent]

    def answer(self, index: int, outcome: Any = None) -> None:
        jobs, future = self.sent[index]
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome or list(jobs))

    def join(self, job: str, size: int = 0) -> asyncio.Task[str]:
        return asyncio.ensure_future(self.gathering.join(job, size))

    async def _alone(self, job: str) -> str:
        (outcome,) = await self._together([job])
        return outcome

    async def _together(self, jobs: Sequence[str]) -> list[str]:
        self.sent.append((jobs, asyncio.get_running_loop().create_future()))
        outcomes: list[str] = await self.sent[-1][1]
        return outcomes


async def busy_engine(seconds: float = 60) -> Engine:
    """Return an engine that two jobs keep busy, so that others wait."""
    engine = Engine(seconds)
    engine.jobs = [engine.join(job) for job in "ab"]
    await turns()
    assert engine.groups == ["a", "b"]
    return engine


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_job_without_company_leaves_at_once_and_others_together() -> None:
    engine = Engine()
    joining = engine.gathering.join("a")
    joining.send(None)  # without another turn of the event loop
    assert engine.groups == ["a"]
    joining.close()
    tasks = [engine.join(job) for job in "bcdef"]
    await turns()
    assert engine.groups == ["a", "b", "c"]
    engine.answer(1)
    await turns()
    assert engine.groups == ["a", "b", "c", "def"]
    engine.answer(2)
    await turns()
    tasks += [engine.join(job) for job in "gh"]
    await turns()
    assert engine.groups == ["a", "b", "c", "def", "gh"], "a group that was sent takes no more"
    engine.answer(4)
    engine.answer(3)
    assert await asyncio.gather(*tasks) == list("bcdefgh")


async def test_a_group_is_bounded() -> None:
    engine = await busy_engine()
    tasks = [engine.join("c", MOST_BYTES // 2) for _ in range(3)]
    tasks += [engine.join("d") for _ in range(MOST_JOBS + 3)]
    await turns()
    for index in range(5):
        engine.answer(index)
        await turns()
    assert engine.groups == ["a", "b", "cc", "c" + "d" * (MOST_JOBS - 1), "dddd"]
    assert len(await asyncio.gather(*tasks)) == len(tasks)


async def test_each_job_has_its_own_outcome() -> None:
    engine = await busy_engine()
    tasks = [engine.join(job) for job in "cdef"]
    await turns()
    engine.answer(0)
    await turns()
    failure = KvError("so it is")
    engine.answer(2, ["c", failure, APART, "f"])
    await turns()
    assert engine.groups == ["a", "b", "cdef", "e"]
    engine.answer(3)
    assert await asyncio.gather(*tasks, return_exceptions=True) == ["c", failure, "e", "f"]


async def test_jobs_of_a_refused_group_are_tried_alone_and_jobs_in_doubt_are_not() -> None:
    engine = await busy_engine()
    tasks = [engine.join(job) for job in "cd"]
    await turns()
    engine.answer(0)
    await turns()
    engine.answer(2, StorageError("refused"))
    await turns()
    assert engine.groups == ["a", "b", "cd", "c", "d"]
    engine.answer(3, refused := StorageError("refused"))
    engine.answer(4)
    assert await asyncio.gather(*tasks, return_exceptions=True) == [refused, "d"]
    for error in (StorageUnavailable("lost"), ValueError("a bug")):
        engine = await busy_engine()
        tasks = [engine.join(job) for job in "cd"]
        await turns()
        engine.answer(0)
        await turns()
        engine.answer(2, error)
        assert await asyncio.gather(*tasks, return_exceptions=True) == [error, error]
        assert engine.groups == ["a", "b", "cd"]


async def test_a_caller_who_goes_away_leaves_the_others() -> None:
    engine = await busy_engine()
    tasks = [engine.join(job) for job in "cdef"]
    await turns()
    engine.answer(0)
    await turns()
    tasks += [engine.join(job) for job in "ghi"]
    await turns()
    tasks[1].cancel()  # in a group that was sent
    tasks[5].cancel()  # still waiting
    engine.jobs[1].cancel()  # alone
    await turns()
    assert engine.groups == ["a", "b", "cdef", "gi"]
    engine.answer(2)
    engine.answer(3)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in outcomes if isinstance(one, str)] == list("cefgi")
    last = engine.join("z")
    await turns()
    engine.answer(4)
    assert await last == "z"


async def test_no_job_waits_longer_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = await busy_engine(seconds=3600)
    tasks = [engine.join(job) for job in "cd"]
    await turns()
    engine.answer(0)
    await turns()
    tasks += [engine.join(job) for job in "ef"]
    await turns()
    loop = asyncio.get_running_loop()
    time = loop.time
    monkeypatch.setattr(loop, "time", lambda: time() + 3600)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    messages = [str(one) for one in outcomes]
    assert messages == ["late, sent: True"] * 2 + ["late, sent: False"] * 2
    engine.answer(1)
    engine.answer(2)
    await turns()
    assert engine.groups == ["a", "b", "cd"], "nobody waits for the others any more"


async def test_closing_finishes_what_was_accepted() -> None:
    engine = await busy_engine()
    tasks = [engine.join(job) for job in "cde"]
    await turns()
    closing = asyncio.ensure_future(engine.gathering.close())
    await turns()
    with pytest.raises(StorageUnavailable, match="closed"):
        await engine.gathering.join("f")
    engine.answer(0)
    engine.answer(1)
    await turns()
    engine.answer(2, [APART, "d", "e"])
    await turns()
    assert not closing.done()
    engine.answer(3)
    await closing
    assert [task.result() for task in tasks] == list("cde")
    await engine.gathering.close()


async def test_a_group_passes_on_the_trace_of_its_first_job() -> None:
    fields: list[Sequence[tuple[bytes, bytes]]] = []

    class Traced(Engine):
        async def _together(self, jobs: Sequence[str]) -> list[str]:
            fields.append(TRACE_FIELDS.get())
            return await super()._together(jobs)

    async def join(job: str) -> None:
        TRACE_FIELDS.set([(b"traceparent", job.encode())])
        await engine.gathering.join(job)

    engine = Traced()
    joining = [asyncio.create_task(join(job)) for job in "abcd"]
    await turns()
    engine.answer(0)
    engine.answer(1)
    await turns()
    assert engine.groups == ["a", "b", "cd"]
    engine.answer(2)
    await asyncio.gather(*joining)
    assert fields == [[(b"traceparent", job)] for job in (b"a", b"b", b"c")]
