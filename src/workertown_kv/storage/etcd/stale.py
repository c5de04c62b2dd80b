"""Remove expiries that a set has replaced, which the next sweep would otherwise meet when due.

A key that is set again and again with a long lifetime would leave an expiry behind each time.
"""

from collections import deque
from typing import Final

from ...operations import Set
from .layout import parsed_entry
from .messages import TxnAnswer, delete, is_value, txn
from .session import Session

_MOST_KEPT: Final = 10_000
"""How many expiries to remember. If more are replaced between two sweeps, they stay until due."""


class StaleExpiries:
    """Remembers expiries that this process has replaced, until a sweep removes them."""

    def __init__(self) -> None:
        self._expiries: deque[tuple[bytes, bytes]] = deque(maxlen=_MOST_KEPT)

    def note(self, answer: TxnAnswer, session: Session, operation: Set) -> None:
        """Take note of the expiry of the entry that a set has replaced."""
        before = answer.responses[0].response_put.prev_kv if answer.responses else None
        if before is None:
            return
        entry, layout = parsed_entry("", before.value), session.layout
        if entry.expires_at is not None and entry.expires_at != operation.expires_at:
            name = layout.expiry(layout.expiring, layout.of(operation), entry.expires_at)
            self._expiries.append((name, entry.version.encode()))

    async def remove(self, session: Session, limit: int) -> None:
        """Remove at most `limit` expiries, unless they belong to other entries by now."""
        some = [self._expiries.popleft() for _ in range(min(limit, len(self._expiries)))]
        if some:
            await session.transact_each(
                [txn([is_value(name, version)], [delete(name)]) for name, version in some]
            )
