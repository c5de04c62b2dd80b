"""Read single entries, and several together."""

from collections.abc import Sequence
from typing import Final

from ...entry import Entry
from ...operations import Get
from ..contract import Clock
from .layout import parsed_entry
from .messages import KeyValue, read
from .session import Session

MOST_TOGETHER: Final = 100
"""How many reads a request has at most."""

MOST_BYTES: Final = 4 * 1024 * 1024
"""About how many bytes of values a request asks for, if values are as large as those before."""

FIRST_TOGETHER: Final = 32
"""How many reads the first request has, before the size of values is known."""


async def get_one(session: Session, operation: Get, clock: Clock) -> Entry | None:
    """Return the entry, if it exists."""
    answer = await session.read(session.layout.of(operation))
    return alive(answer.kvs, operation.key, clock())


async def get_each(session: Session, operations: Sequence[Get], clock: Clock) -> list[Entry | None]:
    """Return the entries of gets as they are at one moment."""
    if len(operations) == 1:
        return [await get_one(session, operations[0], clock)]
    answer = await session.read_all([read(session.layout.of(one)) for one in operations])
    now = clock()
    return [
        alive(one.response_range.kvs, operation.key, now)
        for operation, one in zip(operations, answer.responses, strict=True)
    ]


class Sizes:
    """Learns how large values are, to ask for as many as fit into an answer."""

    def __init__(self) -> None:
        self._bytes = self._values = 0

    def note(self, sizes: Sequence[int]) -> None:
        """Learn from the sizes of the values in an answer."""
        self._bytes += sum(sizes)
        self._values += len(sizes)

    def following(self, most: int) -> int:
        """Return how many values to ask for next, at least one and at most a number."""
        if not self._values:
            return min(FIRST_TOGETHER, most)
        return max(min(MOST_BYTES * self._values // max(self._bytes, 1), most), 1)


def alive(found: Sequence[KeyValue], key: str, now: float) -> Entry | None:
    """Return the entry that a read found, if it has not expired."""
    if not found:
        return None
    entry = parsed_entry(key, found[0].value)
    return entry if entry.is_alive(now) else None
