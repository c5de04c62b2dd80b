"""Batches and single writes: one script runs for each slot in which they have keys."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Literal

from ...entry import Entry
from ...errors import (
    Conflict,
    KvError,
    NotFound,
    PreconditionFailed,
    StorageUnsupported,
    ValueTooLarge,
)
from ...operations import Batch, Delete, Get, Operation, Result, Set, Touch, Update
from ..batch import ReadBudget
from ..contract import Clock
from ..gathered_operations import Write
from ..version import new_version
from .call import Call, script_call
from .engine import Session
from .fields import ABSENT, DONE, FAILED, TOO_LARGE, batch_arguments, entry_of
from .scripts import BATCH

Outcome = Result | Literal[False]
"""`False` stands for a value that is too large."""


async def run_one(session: Session, operation: Write, clock: Clock) -> str | None:
    """Do a single write. Returns its result in a batch."""
    (outcome,) = await Run(session, [operation], clock).at_once(read_bytes=0)
    if isinstance(outcome, PreconditionFailed):
        raise outcome
    return outcome if isinstance(outcome, str) else None  # also of a touch without an entry


async def write_each(
    session: Session, operations: Sequence[Write], clock: Clock
) -> Sequence[Result]:
    """Do each write by a call of its own, and send all calls together."""
    return await Run(session, operations, clock).side_by_side()


async def run_batch(session: Session, batch: Batch, clock: Clock) -> Sequence[Result]:
    """Do the operations as `Storage.batch` promises."""
    run = Run(session, batch.operations, clock)
    read_bytes = min(batch.read_bytes, session.read_bytes or batch.read_bytes)
    if not batch.atomic:
        return _within_budget(await run.each(read_bytes), read_bytes)
    outcomes = await run.at_once(read_bytes)
    failed = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, PreconditionFailed)]
    if failed:
        raise Conflict(failed)
    results = _within_budget(outcomes, read_bytes)
    for result in results:
        if isinstance(result, NotFound | ValueTooLarge):
            raise result
    return results


class Run:
    """Operations that scripts do. `versions` has the new version of each set, if it is known."""

    def __init__(
        self,
        session: Session,
        operations: Sequence[Operation],
        clock: Clock,
        versions: Sequence[str] = (),
    ) -> None:
        self.versions = versions or [
            new_version() if isinstance(one, Set) else "" for one in operations
        ]
        self._session = session
        self._operations = operations
        self._clock = clock
        self._slots = [session.layout.slot(session.layout.bucket(one.key)) for one in operations]

    async def at_once(self, read_bytes: int) -> list[Outcome]:
        """Do all operations or none. If one outcome is a failure, none was done.

        The outcome of a touch without an entry is `NotFound`.
        """
        outcomes: list[Outcome] = [None] * len(self._operations)
        if len(set(self._slots)) > 1:
            raise StorageUnsupported(
                "A Redis cluster does an atomic batch only if it keeps all its keys together, such "
                "as keys with the same hash tag: {user1}:name and {user1}:mail"
            )
        if outcomes:
            indexes = range(len(outcomes))
            answers = await self._session.one(self._call(indexes, "all", read_bytes))
            self._fill(outcomes, indexes, answers)
        return outcomes

    async def side_by_side(self) -> list[Result]:
        """Do each operation, which is a write, by a call of its own."""
        answers = await self._session.ask(
            [self._call([index], "all", 0) for index in range(len(self._operations))]
        )
        outcomes = [
            answer if isinstance(answer, KvError) else self._outcome(index, answer[0])
            for index, answer in enumerate(answers)
        ]
        outcomes = [None if isinstance(one, NotFound) else one for one in outcomes]
        return _within_budget(outcomes, 0)

    async def each(self, read_bytes: int) -> list[Outcome]:
        """Do each operation by itself: those of a slot in order, and all slots at the same time.

        At first, each slot has its part of the bytes to read. The operations that do not fit into
        it follow afterwards, in order, with the bytes that are left.
        """
        outcomes: list[Outcome] = [None] * len(self._operations)
        groups: dict[int, list[int]] = defaultdict(list)
        gets: dict[int, int] = defaultdict(int)
        for index, slot in enumerate(self._slots):
            groups[slot].append(index)
            gets[slot] += isinstance(self._operations[index], Get)
        part = read_bytes / max(sum(gets.values()), 1)
        calls = [
            self._call(indexes, "until", int(part * gets[slot])) for slot, indexes in groups.items()
        ]
        rest: list[int] = []
        for indexes, answers in zip(groups.values(), await self._session.ask(calls), strict=True):
            rest += self._fill(outcomes, indexes, answers)
        for _, together in groupby(sorted(rest), self._slots.__getitem__):
            following = list(together)
            spent = sum(map(_size, outcomes[: following[0]]))
            call = self._call(following, "each", max(read_bytes - spent, 0))
            self._fill(outcomes, following, (await self._session.ask([call]))[0])
        return outcomes

    def _call(self, indexes: Sequence[int], mode: str, read_bytes: int) -> Call:
        now = self._clock()
        operations = [self._operations[index] for index in indexes]
        versions = [self.versions[index] for index in indexes]
        keys, arguments = batch_arguments(self._session.layout, operations, versions, now)
        writes = not all(isinstance(one, Get) for one in operations)
        given = (repr(now), read_bytes, mode, self._session.kept, *arguments)
        return script_call(self._slots[indexes[0]], BATCH, keys, given, writes=writes)

    def _fill(self, outcomes: list[Outcome], indexes: Sequence[int], answers: Any) -> list[int]:
        """Enter the answers of the script. Returns the indexes of operations that it did not do."""
        if isinstance(answers, KvError):
            answers = [answers] * len(indexes)
        for index, answer in zip(indexes, answers, strict=False):
            outcomes[index] = self._outcome(index, answer)
        return list(indexes[len(answers) :])

    def _outcome(self, index: int, answer: Any) -> Outcome:
        if isinstance(answer, KvError):
            return answer
        if answer == FAILED:
            return PreconditionFailed()
        if answer == ABSENT:
            return NotFound()
        if answer == TOO_LARGE:
            return False
        match self._operations[index]:
            case Get(key=key):
                # An atomic batch that changes nothing answers 1 for a get whose precondition holds.
                return None if answer == DONE else entry_of(key, answer, self._clock())
            case Set():
                return self.versions[index]
            case Delete():
                return None
            case Touch():
                return answer.decode() if isinstance(answer, bytes) else None
            case Update():
                raise AssertionError(self._operations[index])


def _size(outcome: Outcome) -> int:
    return len(outcome.value) if isinstance(outcome, Entry) else 0


def _within_budget(outcomes: Sequence[Outcome], read_bytes: int) -> list[Result]:
    """Return the results, with an error for each get that is past the budget, in order."""
    budget = ReadBudget(read_bytes)
    results: list[Result] = []
    for outcome in outcomes:
        if not isinstance(outcome, (Entry, bool)):
            results.append(outcome)
            continue
        try:
            results.append(budget.spend(outcome))
        except ValueTooLarge as error:
            results.append(error.with_traceback(None))
    return results
