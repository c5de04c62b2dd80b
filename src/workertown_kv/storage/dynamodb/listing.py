"""List keys: merge the keys of all buckets, each of which is in order."""

import asyncio
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any, Final

from ...entry import KeyInfo
from ...operations import List, Page
from ..contract import Clock
from ..listing import KeyRange, end_of_prefix, list_page
from .expressions import Expressions
from .layout import ABOUT, KEY_BYTES, Item, checked_namespace, is_alive, key_info, text
from .table import Table

MOST_KEYS: Final = 1000
"""The most keys to read at once if most entries have expired."""
MOST_READS: Final = 50
"""A listing ends its page after this many reads, if the page has a key or a folder."""


async def list_keys(table: Table, operation: List, clock: Clock) -> Page:
    """Return one page. As a rule, it takes one request for each bucket."""
    checked_namespace(operation.namespace)
    merge: _Merge | None = None
    more = 0

    async def read(keys: KeyRange, wanted: int) -> tuple[Sequence[KeyInfo], KeyRange | None]:
        nonlocal merge, more
        if merge is None or merge.rest != keys:
            merge = _Merge(table, operation, keys)
        asked = max(wanted, more)
        items = await merge.following(asked)
        if not items:
            return [], None
        now = clock()
        infos = [key_info(item) for item in items if is_alive(item, now)]
        more = 0 if len(infos) >= wanted else min(2 * asked, max(MOST_KEYS, wanted))
        return infos, merge.rest

    return await list_page(operation, read, most_reads=MOST_READS)


class _Bucket:
    def __init__(self, number: int) -> None:
        self.number = number
        self.ahead: deque[Item] = deque()
        self.after: Item | None = None
        """The key of the item that was read last."""
        self.has_ended = False


class _Descending(str):
    """A key that sorts before the smaller keys."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


class _Merge:
    """Reads the items of a range in the order of the listing, only about as many as needed."""

    def __init__(self, table: Table, operation: List, keys: KeyRange) -> None:
        self._table = table
        self._namespace = operation.namespace
        self._is_reverse = operation.is_reverse
        self._buckets = [_Bucket(number) for number in range(table.layout.buckets)]
        self._heads: list[tuple[str, int, Item]] = []
        """A heap of the next item of each bucket."""
        self._hungry = [*self._buckets]
        """The buckets whose next item is unknown. While there are any, no item can be the first."""
        self._keys = keys
        self.rest = keys
        """The range without the keys that were returned."""

    async def following(self, count: int) -> list[Item]:
        """Return the next items, fewer than `count` only if there are no more."""
        found: list[Item] = []
        while len(found) < count:
            if self._hungry:
                await self._feed(count - len(found))
            if not self._heads and not self._hungry:
                break
            while self._heads and not self._hungry and len(found) < count:
                _, number, item = heappop(self._heads)
                found.append(item)
                self._advance(self._buckets[number])
        if found:
            self.rest = self.rest.past(found[-1]["sk"]["S"], is_reverse=self._is_reverse)
        return found

    async def _feed(self, count: int) -> None:
        # Twice the part of a bucket and a few more, so that few buckets must be read twice.
        buckets = len(self._buckets)
        size = count + 1 if buckets == 1 else 2 * count // buckets + 4
        hungry, self._hungry = self._hungry, []
        answers = await asyncio.gather(*(self._query(bucket, size) for bucket in hungry))
        for bucket, answer in zip(hungry, answers, strict=True):
            bucket.after = answer.get("LastEvaluatedKey")
            bucket.has_ended = bucket.after is None
            bucket.ahead.extend(item for item in answer["Items"] if item["sk"]["S"] in self._keys)
            self._advance(bucket)

    async def _query(self, bucket: _Bucket, size: int) -> Any:
        expressions = Expressions()
        partition = text(self._table.layout.partition(bucket.number, self._namespace))
        condition = f"{expressions.name('pk')} = {expressions.value(partition)}"
        within = _bounds(expressions, self._keys)
        start: dict[str, Any] = {"ExclusiveStartKey": bucket.after} if bucket.after else {}
        return await self._table.send(
            "query",
            KeyConditionExpression=f"{condition} AND {within}" if within else condition,
            ScanIndexForward=not self._is_reverse,
            ConsistentRead=True,
            Limit=size,
            **start,
            **expressions.projection(ABOUT),
        )

    def _advance(self, bucket: _Bucket) -> None:
        if bucket.ahead:
            item = bucket.ahead.popleft()
            key = item["sk"]["S"]
            entry = (_Descending(key) if self._is_reverse else key, bucket.number, item)
            heappush(self._heads, entry)
        elif not bucket.has_ended:
            self._hungry.append(bucket)


def _bounds(expressions: Expressions, keys: KeyRange) -> str:
    """Return a condition that all keys of a range meet, and few others. `""`: all keys do.

    A condition on a sort key has one comparison, whose operands are no longer than a key.
    """
    name = expressions.name("sk")
    start = _cut(keys.start)
    end = keys.end
    if end is not None and _cut(end) != end:
        end = end_of_prefix(_cut(end, KEY_BYTES - 4))
    if not start:
        return "" if end is None else f"{name} < {expressions.value(text(end))}"
    low = expressions.value(text(start))
    if end is not None:
        return f"{name} BETWEEN {low} AND {expressions.value(text(end))}"
    is_after = keys.is_after_start and start == keys.start
    return f"{name} {'>' if is_after else '>='} {low}"


def _cut(key: str, size: int = KEY_BYTES) -> str:
    """Return the beginning of a text, in at most so many bytes."""
    return key.encode()[:size].decode(errors="ignore")
