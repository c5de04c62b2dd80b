"""List keys: merge the keys of all buckets, each of which is in order."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ...entry import KeyInfo
from ...operations import List, Page
from ..contract import Clock
from ..listing import KeyRange, end_of_prefix
from ..merging import Bucket, Merge, list_merged
from .expressions import Expressions
from .layout import ABOUT, KEY_BYTES, Item, checked_namespace, is_alive, key_info, text
from .table import Table


async def list_keys(table: Table, operation: List, clock: Clock) -> Page:
    """Return one page. As a rule, it takes one request for each bucket."""
    checked_namespace(operation.namespace)

    async def alive(items: Sequence[tuple[Item, int]]) -> Sequence[KeyInfo]:
        now = clock()
        return [key_info(item) for item, _ in items if is_alive(item, now)]

    return await list_merged(operation, lambda keys: _Merge(table, operation, keys), alive)


class _Merge(Merge[Item]):
    def __init__(self, table: Table, operation: List, keys: KeyRange) -> None:
        super().__init__(table.layout.buckets, keys, is_reverse=operation.is_reverse)
        self._table = table
        self._namespace = operation.namespace
        self._keys = keys

    def _key_of(self, item: Item) -> str:
        key: str = item["sk"]["S"]
        return key

    async def _read(self, buckets: Sequence[Bucket[Item]], size: int) -> None:
        if len(self._buckets) == 1:
            size += 1
        answers = await asyncio.gather(*(self._query(bucket, size) for bucket in buckets))
        for bucket, answer in zip(buckets, answers, strict=True):
            bucket.after = answer.get("LastEvaluatedKey")
            bucket.has_ended = bucket.after is None
            bucket.ahead.extend(item for item in answer["Items"] if item["sk"]["S"] in self._keys)

    async def _query(self, bucket: Bucket[Item], size: int) -> Any:
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
