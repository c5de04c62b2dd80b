"""Record expiries as changes, and remove the entries that expired long ago."""

from collections.abc import Sequence
from typing import Final

from ...operations import Event
from .layout import time_text, up_to
from .messages import (
    KeyValue,
    Message,
    delete,
    inside,
    is_above,
    is_below,
    is_value,
    put,
    read,
    txn,
)
from .records import gone_change
from .session import Session
from .writing import Writing

MOST_TOGETHER: Final = 100
"""How many expiries a transaction records, and how many entries it removes."""


def read_due(area: bytes, before: float, limit: int = MOST_TOGETHER) -> Message:
    """Make the read of the expiries in an area up to a time."""
    return read(area, area + up_to(before), limit=limit)


async def record_expiries(session: Session, due: Sequence[KeyValue], now: float) -> None:
    """Record expiries that are due as changes, once, if the entries still have them."""
    layout = session.layout
    writing = Writing(layout, now, records=session.records)

    def transaction(slot: int, expiry: KeyValue) -> Message:
        expires_at, name = layout.expiry_parts(layout.expiring, expiry.key)
        change = gone_change(Event.EXPIRE, *layout.entry_parts(name), expiry.value.decode())
        # Another server may have recorded it, or a write may have replaced the entry.
        return txn(
            [*_still(name, expiry, expires_at), is_value(expiry.key, expiry.value)],
            [
                delete(expiry.key),
                put(layout.expiry(layout.expired, name, expires_at), expiry.value),
                *writing.record(slot, [change]),
            ],
            [
                # The expiry of an entry that has another lifetime by now.
                inside(txn([is_value(expiry.key, expiry.value)], [delete(expiry.key)]))
            ],
        )

    if due:
        await session.transact_each([transaction(slot, one) for slot, one in enumerate(due)])


async def remove_expired(session: Session, expired: Sequence[KeyValue]) -> int:
    """Remove entries whose expiry is recorded. Returns how many there were."""
    layout = session.layout

    def transaction(expiry: KeyValue) -> Message:
        expires_at, name = layout.expiry_parts(layout.expired, expiry.key)
        return txn(
            _still(name, expiry, expires_at),
            [delete(name), delete(expiry.key)],
            [delete(expiry.key)],
        )

    if not expired:
        return 0
    answers = await session.transact_each([transaction(one) for one in expired])
    return sum(one.succeeded for one in answers)


def _still(name: bytes, expiry: KeyValue, expires_at: float) -> list[Message]:
    """Compare: the entry still has this expiry and this version."""
    beginning = b"%s %s " % (time_text(expires_at), expiry.value)
    return [is_above(name, beginning), is_below(name, beginning[:-1] + b"!")]
