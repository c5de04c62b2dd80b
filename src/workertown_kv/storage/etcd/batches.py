"""Run batches that are not atomic: reads go out together, and so do writes."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby

from ...errors import KvError, StorageError, ValueTooLarge
from ...operations import Batch, Get, Operation, Result, Update
from ..batch import ReadBudget, guarded, is_down, not_tried
from ..contract import Clock
from .reads import MOST_TOGETHER, Sizes, get_each
from .session import Engine
from .stale import StaleExpiries
from .writes import write_each

Attempt = Callable[[Operation, ReadBudget], Awaitable[Result]]
"""Does one operation, and returns its result in a batch."""


async def run_each(
    engine: Engine, batch: Batch, clock: Clock, stale: StaleExpiries, attempt: Attempt
) -> list[Result]:
    """Do each operation by itself, in order. `attempt` does the updates.

    If etcd no longer answers, the operations that are left are not tried.
    """
    budget = ReadBudget(batch.read_bytes)
    results: list[Result] = []
    for kind, some in groupby(batch.operations, _kind):
        if kind is Update:
            found = [await attempt(item, budget) for item in some]
        elif kind is Get:
            gets = [item for item in some if isinstance(item, Get)]
            found = await _gets(engine, gets, budget, clock)
        else:
            writes = [item for item in some if not isinstance(item, Get | Update)]
            async with engine.session() as session:
                found = await write_each(session, writes, clock, stale)
        results += found
        if any(map(is_down, found)):
            break
    failures = [one for one in results if isinstance(one, StorageError)]
    if failures and len(failures) == len(results):
        raise failures[0]
    return [*results, *not_tried(len(batch.operations) - len(results))]


def _kind(operation: Operation) -> type[Operation] | None:
    return type(operation) if isinstance(operation, Get | Update) else None


async def _gets(
    engine: Engine, gets: Sequence[Get], budget: ReadBudget, clock: Clock
) -> list[Result]:
    results: list[Result] = []
    sizes = Sizes()
    while len(results) < len(gets):
        start = len(results)
        some = gets[start : start + sizes.following(MOST_TOGETHER)]
        try:
            async with engine.session() as session:
                entries = await get_each(session, some, clock)
        except KvError as error:
            return results + [error.with_traceback(None)] * (len(gets) - len(results))
        sizes.note([len(entry.value) for entry in entries if entry is not None])
        for get, entry in zip(some, entries, strict=True):
            try:
                results.append(guarded(get, budget.spend(entry)))
            except ValueTooLarge as error:
                # The gets beyond are not read.
                return results + [error.with_traceback(None)] * (len(gets) - len(results))
            except KvError as error:
                results.append(error.with_traceback(None))
    return results
