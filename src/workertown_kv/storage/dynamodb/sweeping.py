"""Remove chunks that no entry has: of writers that ended halfway, and of values that were replaced.

DynamoDB itself removes expired entries, by the attribute `reclaim_at`. The chunks of their values
stay until a sweep finds them.
"""

import math
from typing import Any, Final

from .expressions import Expressions
from .failures import ConditionFailed
from .large import REMOVING, WRITING, discard
from .layout import LARGE_VALUES, Chunks, Item, ItemKey, key_item, text
from .table import Table

PASS_SECONDS: Final = 600.0
"""How long to wait after a look at all large values until the next one."""
WRITER_SECONDS: Final = 3600.0
"""How long a writer may take until a sweep removes what it has written."""
_MOST_RECORDS: Final = 100


class Sweeper:
    """Goes over the records of all large values, some at each call."""

    def __init__(self) -> None:
        self._after: Item | None = None
        """The key of the record that was looked at last."""
        self._passed_at = -math.inf

    async def sweep(self, table: Table, limit: int, now: float) -> int:
        """Look at some records. Returns how many large values were removed."""
        if self._after is None and abs(now - self._passed_at) < PASS_SECONDS:
            return 0
        records = await self._records(table, min(limit, _MOST_RECORDS))
        if self._after is None:
            self._passed_at = now
        keys = [*{_entry_key(record): None for record in records}]
        entries = await table.read_each(keys, ["version"]) if keys else {}
        removed = 0
        for record in records:
            entry = entries.get(_entry_key(record), {})
            if "version" in entry and entry["version"] == record["sk"]:
                continue
            if await _is_abandoned(table, record, now):
                await discard(table, _chunks_of(record))
                removed += 1
        return removed

    async def _records(self, table: Table, limit: int) -> list[Item]:
        expressions = Expressions()
        partition = expressions.name("pk")
        value = expressions.value(text(LARGE_VALUES))
        start: dict[str, Any] = {"ExclusiveStartKey": self._after} if self._after else {}
        answer = await table.send(
            "query",
            KeyConditionExpression=f"{partition} = {value}",
            Limit=limit,
            ConsistentRead=True,
            **expressions.placeholders,
            **start,
        )
        self._after = answer.get("LastEvaluatedKey")
        return list(answer["Items"])


async def _is_abandoned(table: Table, record: Item, now: float) -> bool:
    """Return whether no entry will ever have these chunks.

    A writer that is still at work, even if it slept for hours, fails once this is true.
    """
    state = record["state"]["S"]
    if state != WRITING:
        return True
    if float(record["begun_at"]["N"]) + WRITER_SECONDS > now:
        return False
    expressions = Expressions()
    name, writing = expressions.name("state"), expressions.value(text(WRITING))
    removing = expressions.value(text(REMOVING))
    try:
        await table.send(
            "update_item",
            writes=True,
            is_repeatable=False,
            Key=key_item(_chunks_of(record).record),
            UpdateExpression=f"SET {name} = {removing}",
            ConditionExpression=f"{name} = {writing}",
            **expressions.placeholders,
        )
    except ConditionFailed:
        return False
    return True


def _entry_key(record: Item) -> ItemKey:
    return record["entry_pk"]["S"], record["entry_sk"]["S"]


def _chunks_of(record: Item) -> Chunks:
    return Chunks(record["sk"]["S"], int(record["chunks"]["N"]), int(record["size"]["N"]))
