"""List keys, by reads of ranges of entries."""

from collections.abc import Sequence
from typing import Final

from ...entry import KeyInfo
from ...operations import DeletePrefix, Event, List, Page
from ..contract import Clock
from ..deletion import Step
from ..listing import KeyRange, list_page
from .layout import parsed_info, up_to
from .messages import delete, is_above, txn
from .reads import Sizes
from .records import gone_change
from .session import Engine, Session
from .writing import Writing

_MOST_READS: Final = 50
"""How many reads a page takes at most, if values are large, or most entries have expired."""

_DELETED_TOGETHER: Final = 100
"""How many entries a transaction deletes at most."""


async def list_keys(engine: Engine, operation: List, clock: Clock) -> Page:
    """Return a page of a listing. Each read has its own deadline, and learns from those before."""
    sizes = Sizes()
    order = {"sort_order": "DESCEND", "sort_target": "KEY"} if operation.is_reverse else {}

    async def read(keys: KeyRange, wanted: int) -> tuple[Sequence[KeyInfo], KeyRange | None]:
        async with engine.session() as session:
            start, end = session.layout.span(operation.namespace, keys)
            answer = await session.read(start, end, limit=sizes.following(wanted), **order)
        sizes.note([len(one.value) for one in answer.kvs])
        now = clock()
        found = [
            parsed_info(engine.layout.entry_parts(one.key)[1], one.value) for one in answer.kvs
        ]
        rest = keys.past(found[-1].key, is_reverse=operation.is_reverse) if answer.more else None
        return [one for one in found if one.is_alive(now)], rest

    return await list_page(operation, read, most_reads=_MOST_READS)


async def delete_some(
    session: Session, operation: DeletePrefix, keys: KeyRange, limit: int, clock: Clock
) -> Step:
    """Delete the entries among the first keys of a range, as `DeleteSome` says."""
    layout = session.layout
    start, end = layout.span(operation.namespace, keys)
    answer = await session.read(start, end, limit=min(limit, _DELETED_TOGETHER), keys_only=True)
    if not answer.kvs:
        return 0, None
    now = clock()
    writing = Writing(layout, now, records=session.records)
    names = [one.key for one in answer.kvs]
    found = [layout.entry_parts(name)[1] for name in names]
    answers = await session.transact_each(
        [
            txn(
                [is_above(name, up_to(now))],
                [
                    delete(name),
                    *writing.record(slot, [gone_change(Event.DELETE, operation.namespace, key)]),
                ],
            )
            for slot, (name, key) in enumerate(zip(names, found, strict=True))
        ]
    )
    deleted = sum(one.succeeded for one in answers)
    return deleted, keys.past(found[-1], is_reverse=False) if answer.more else None
