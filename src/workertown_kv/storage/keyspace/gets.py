"""Read single entries, by one command or together by one script for each slot."""

from collections import defaultdict
from collections.abc import Sequence

from ...entry import Entry
from ...errors import KvError, StorageUnavailable
from ...operations import Get
from ..contract import Clock
from ..gathered_operations import JOB_BYTES, Found
from ..gathering import APART
from .call import Call, script_call
from .engine import Session
from .fields import FIELDS, entry_of
from .scripts import GETS


async def get_one(session: Session, operation: Get, clock: Clock) -> Entry | None:
    """Return the entry of a get, however large."""
    layout = session.layout
    bucket = layout.bucket(operation.key)
    name = layout.entry(bucket, operation.namespace, operation.key)
    fields = await session.one(Call(layout.slot(bucket), ("HMGET", name, *FIELDS)))
    return entry_of(operation.key, fields, clock())


async def get_each(session: Session, operations: Sequence[Get], clock: Clock) -> Sequence[Found]:
    """Return the entry of each get, and `APART` for a large value or an error of Redis."""
    layout = session.layout
    slots: dict[int, list[int]] = defaultdict(list)
    names: list[bytes] = []
    for index, one in enumerate(operations):
        bucket = layout.bucket(one.key)
        slots[layout.slot(bucket)].append(index)
        names.append(layout.entry(bucket, one.namespace, one.key))
    calls = [
        script_call(slot, GETS, [names[index] for index in indexes], (JOB_BYTES,))
        for slot, indexes in slots.items()
    ]
    outcomes: list[Found] = [APART] * len(operations)
    for indexes, answer in zip(slots.values(), await session.ask(calls), strict=True):
        if isinstance(answer, KvError) and not isinstance(answer, StorageUnavailable):
            continue
        now = clock()
        for position, index in enumerate(indexes):
            if isinstance(answer, KvError):
                outcomes[index] = answer
            elif answer[position] != 0:
                outcomes[index] = entry_of(operations[index].key, answer[position], now)
    return outcomes
