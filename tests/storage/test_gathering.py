"""Test that jobs that wait for an engine leave together, each with its own outcome."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from workertown_kv.errors import KvError, StorageError, StorageUnavailable
from workertown_kv.storage.gathering import APART, MOST_BYTES, MOST_JOBS, Gathering

pytestmark = pytest.mark.anyio


class Engine:
    """Answers each job with itself, in the order that a test chooses."""

    def __init__(self, seconds: float = 60) -> None:
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


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_first_leaves_at_once_and_the_others_together() -> None:
    engine = Engine()
    joining = engine.gathering.join("a")
    joining.send(None)  # without another turn of the event loop
    assert engine.groups == ["a"]
    joining.close()
    tasks = [engine.join(job) for job in "bcdef"]
    await turns()
    assert engine.groups == ["a", "b", "cdef"]
    tasks += [engine.join(job) for job in "gh"]
    await turns()
    assert engine.groups == ["a", "b", "cdef"], "a group that was sent takes no more"
    engine.answer(2)
    await turns()
    assert engine.groups == ["a", "b", "cdef", "gh"]
    engine.answer(1)
    engine.answer(3)
    assert await asyncio.gather(*tasks) == list("bcdefgh")


async def test_a_group_is_bounded() -> None:
    engine = Engine()
    tasks = [engine.join("a"), engine.join("b")]
    await turns()
    tasks += [engine.join("c", MOST_BYTES // 2) for _ in range(3)]
    tasks += [engine.join("d") for _ in range(MOST_JOBS + 3)]
    await turns()
    engine.answer(0)
    await turns()
    engine.answer(1)
    await turns()
    assert engine.groups[:3] == ["a", "b", "cc"]
    assert engine.groups[3] == "c" + "d" * (MOST_JOBS - 1)
    engine.answer(2)
    await turns()
    assert engine.groups[4] == "dddd"
    engine.answer(3)
    engine.answer(4)
    assert len(await asyncio.gather(*tasks)) == len(tasks)


async def test_each_job_has_its_own_outcome() -> None:
    engine = Engine()
    tasks = [engine.join(job) for job in "abcde"]
    await turns()
    engine.answer(0)
    failure = KvError("so it is")
    engine.answer(1, ["b", failure, APART, "e"])
    await turns()
    assert engine.groups == ["a", "bcde", "d"]
    engine.answer(2)
    assert await asyncio.gather(*tasks, return_exceptions=True) == ["a", "b", failure, "d", "e"]


async def test_what_the_engine_refuses_is_tried_one_by_one_and_what_is_in_doubt_is_not() -> None:
    engine = Engine()
    tasks = [engine.join(job) for job in "abc"]
    await turns()
    engine.answer(0)
    engine.answer(1, StorageError("refused"))
    await turns()
    assert engine.groups == ["a", "bc", "b", "c"]
    engine.answer(2, refused := StorageError("refused"))
    engine.answer(3)
    assert await asyncio.gather(*tasks, return_exceptions=True) == ["a", refused, "c"]
    for error in (StorageUnavailable("lost"), ValueError("a bug")):
        engine = Engine()
        tasks = [engine.join(job) for job in "abc"]
        await turns()
        engine.answer(0)
        engine.answer(1, error)
        assert await asyncio.gather(*tasks, return_exceptions=True) == ["a", error, error]
        assert engine.groups == ["a", "bc"]


async def test_a_caller_who_goes_away_leaves_the_others() -> None:
    engine = Engine()
    tasks = [engine.join(job) for job in "abcdef"]
    await turns()
    tasks += [engine.join(job) for job in "ghi"]
    await turns()
    for index in (0, 2, 7):  # alone, in a group that was sent, and in one that waits
        tasks[index].cancel()
    await turns()
    assert engine.groups == ["a", "bcdef", "gi"]
    engine.answer(1)
    engine.answer(2)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    kept = [one for one in outcomes if isinstance(one, str)]
    assert kept == ["b", "d", "e", "f", "g", "i"]
    engine.join("z")
    await turns()
    assert engine.groups[-1] == "z"
    engine.answer(-1)


async def test_no_job_waits_longer_than_its_time() -> None:
    engine = Engine(seconds=0.01)
    tasks = [engine.join(job) for job in "abc"]
    await turns()
    tasks += [engine.join(job) for job in "de"]
    outcomes = await asyncio.gather(*tasks[1:], return_exceptions=True)
    sent = [str(one) for one in outcomes]
    assert sent == ["late, sent: True"] * 2 + ["late, sent: False"] * 2
    assert engine.groups == ["a", "bc"]
    engine.answer(0)
    engine.answer(1)
    assert await tasks[0] == "a"
    assert engine.groups == ["a", "bc"], "nobody waits for them any more"


async def test_closing_finishes_what_was_accepted() -> None:
    engine = Engine()
    tasks = [engine.join(job) for job in "abcd"]
    await turns()
    closing = asyncio.ensure_future(engine.gathering.close())
    await turns()
    with pytest.raises(StorageUnavailable, match="closed"):
        await engine.gathering.join("e")
    engine.answer(0)
    engine.answer(1, [APART, "c", "d"])
    await turns()
    assert not closing.done()
    engine.answer(2)
    await closing
    assert [task.result() for task in tasks] == list("abcd")
    await engine.gathering.close()
