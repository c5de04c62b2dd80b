"""Merge the keys of several buckets, each of which is in order, into one listing."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from heapq import heappop, heappush
from typing import Any, Final, Generic, TypeVar

from ..entry import KeyInfo
from ..operations import List, Page
from .listing import KeyRange, list_page

MOST_KEYS: Final = 1000
"""The most keys to read at once if most entries have expired."""

MOST_READS: Final = 50
"""A listing ends its page after this many reads, if the page has a key or a folder."""

_Item = TypeVar("_Item")


class Bucket(Generic[_Item]):
    """A bucket, with the items that were read and not yet returned."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ahead: deque[_Item] = deque()
        self.after: Any = None
        """Where the next read continues; `None` before the first read."""
        self.has_ended = False


class Merge(ABC, Generic[_Item]):
    """Reads the items of a range in the order of the listing, only about as many as needed."""

    def __init__(self, buckets: int, keys: KeyRange, *, is_reverse: bool) -> None:
        self._is_reverse = is_reverse
        self._buckets = [Bucket[_Item](number) for number in range(buckets)]
        self._heads: list[tuple[str, int, _Item]] = []
        """A heap of the next item of each bucket."""
        self._hungry = [*self._buckets]
        """The buckets whose next item is unknown. While there are any, no item can be the first."""
        self.rest = keys
        """The range without the keys that were returned."""

    @abstractmethod
    def _key_of(self, item: _Item) -> str:
        """Return the key of an item."""

    @abstractmethod
    async def _read(self, buckets: Sequence[Bucket[_Item]], size: int) -> None:
        """Read about `size` more items of each of these buckets, and update the buckets."""

    async def following(self, count: int) -> list[tuple[_Item, int]]:
        """Return the next `count` items with their buckets, or all that are left."""
        found: list[tuple[_Item, int]] = []
        while len(found) < count:
            if self._hungry:
                await self._feed(count - len(found))
            if not self._heads and not self._hungry:
                break
            while self._heads and not self._hungry and len(found) < count:
                _, number, item = heappop(self._heads)
                found.append((item, number))
                self._advance(self._buckets[number])
        if found:
            last = self._key_of(found[-1][0])
            self.rest = self.rest.past(last, is_reverse=self._is_reverse)
        return found

    async def _feed(self, count: int) -> None:
        buckets = len(self._buckets)
        hungry, self._hungry = self._hungry, []
        # Twice the part of a bucket and a few more, so that few buckets must be read twice.
        await self._read(hungry, count if buckets == 1 else 2 * count // buckets + 4)
        for bucket in hungry:
            self._advance(bucket)

    def _advance(self, bucket: Bucket[_Item]) -> None:
        if bucket.ahead:
            item = bucket.ahead.popleft()
            key = self._key_of(item)
            order = _Descending(key) if self._is_reverse else key
            heappush(self._heads, (order, bucket.number, item))
        elif not bucket.has_ended:
            self._hungry.append(bucket)


class _Descending(str):
    """A key that sorts before the smaller keys."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


async def list_merged(
    operation: List,
    merge_of: Callable[[KeyRange], Merge[_Item]],
    alive: Callable[[Sequence[tuple[_Item, int]]], Awaitable[Sequence[KeyInfo]]],
) -> Page:
    """Return one page. `alive` returns what a listing shows of the items that have not expired."""
    merge: Merge[_Item] | None = None
    more = 0

    async def read(keys: KeyRange, wanted: int) -> tuple[Sequence[KeyInfo], KeyRange | None]:
        nonlocal merge, more
        if merge is None or merge.rest != keys:
            merge = merge_of(keys)
        asked = max(wanted, more)
        items = await merge.following(asked)
        if not items:
            return [], None
        infos = await alive(items)
        more = 0 if len(infos) >= wanted else min(2 * asked, max(MOST_KEYS, wanted))
        return infos, merge.rest

    return await list_page(operation, read, most_reads=MOST_READS)
