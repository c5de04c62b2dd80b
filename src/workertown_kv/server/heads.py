"""Remember the requests that arrive again and again, so that each is parsed only once.

A client that reads settings or flags sends the same bytes each time: its header fields stay the
same, and it has few keys.
"""

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from ..http.route import Route

MOST_HEADS: Final = 1024
MOST_BYTES: Final = 4096
"""How many requests are remembered, and how long each may be."""

_SLOTS: Final = 4096


class Head(msgspec.Struct, frozen=True, gc=False):
    """The parts of a request without a body, decoded."""

    method: str
    path: str
    raw_path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    fields: dict[bytes, bytes]
    route: "Route"


class Heads:
    """Remembers the plain requests that have arrived at least twice, by their bytes.

    It holds nothing that a request is decided by: credentials are checked each time.
    """

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        self._seen = [0] * _SLOTS
        self.get = self._heads.get

    def keep(self, data: bytes, head: Head) -> None:
        """Remember a request if it has arrived before; forget the oldest if there are too many."""
        if len(data) > MOST_BYTES:
            return
        number = hash(data)
        slot = number % _SLOTS
        if self._seen[slot] != number:
            self._seen[slot] = number
            return
        if len(self._heads) >= MOST_HEADS:
            del self._heads[next(iter(self._heads))]
        self._heads[data] = head
