"""Encode a position in the logs of all buckets as the text of a cursor.

Most ids in a cursor differ little. So the text has the newest time, and how much older each id is.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from ...errors import InputError

_CURSOR: Final = re.compile(r"([0-9]{1,18}):([0-9a-f.,]+)")
_PART: Final = re.compile(r"([0-9a-f]{1,15})(?:\.([0-9a-f]{1,15}))?")


class ItemId(NamedTuple):
    """The id of an item in a stream of Redis: milliseconds, and a number within them."""

    milliseconds: int
    number: int

    @classmethod
    def of(cls, text: bytes) -> "ItemId":
        """Return the id that Redis writes so."""
        milliseconds, _, number = text.partition(b"-")
        return cls(int(milliseconds), int(number))

    def __str__(self) -> str:
        """Return the id as Redis writes it."""
        return f"{self.milliseconds}-{self.number}"


class Position:
    """The ids of the items that were read last, one of each bucket.

    `following` has the ids that it will move to.
    """

    def __init__(self, ids: Sequence[ItemId], following: Sequence[ItemId] = ()) -> None:
        self._newest = max(one.milliseconds for one in (*ids, *following))
        self._parts = [self._part(one) for one in ids]

    @property
    def cursor(self) -> str:
        """The cursor of this position."""
        return f"{self._newest}:{','.join(self._parts)}"

    def move(self, bucket: int, item: ItemId) -> None:
        """Move past an item of a bucket."""
        self._parts[bucket] = self._part(item)

    def _part(self, item: ItemId) -> str:
        age = self._newest - item.milliseconds
        return f"{age:x}.{item.number:x}" if item.number else f"{age:x}"


def ids_of(cursor: str, buckets: int) -> list[ItemId]:
    """Return the ids in a cursor. Raises `InputError` if it is not a cursor of these buckets."""
    whole = _CURSOR.fullmatch(cursor)
    parts = [_PART.fullmatch(part) for part in whole[2].split(",")] if whole else []
    ids = [
        ItemId(int(whole[1]) - int(part[1], 16), int(part[2] or "0", 16))
        for part in parts
        if whole and part
    ]
    if len(ids) != buckets or len(parts) != buckets or min(ids).milliseconds < 0:
        raise InputError("This is no cursor of changes; expected a cursor from an earlier page")
    return ids
