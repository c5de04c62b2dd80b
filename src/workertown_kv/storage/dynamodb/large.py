"""Keep values that are too large for an item in chunks, which are items of their own.

A record says which chunks a value has. It is written before them and removed after them, so that a
sweep finds the chunks of a writer that ended halfway. The chunks become visible when the item of
the entry names their version, in one transaction with their record.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from ...entry import Entry
from ...errors import StorageError, StorageFailure, StorageUnavailable
from ...operations import Set
from ..contract import Clock
from .expressions import Expressions
from .layout import (
    Chunks,
    ItemKey,
    chunks_in,
    entry_of,
    is_alive,
    key_item,
    number,
    text,
)
from .table import Table, delete_request

CHUNK_BYTES: Final = 400_000
_TOGETHER: Final = 5
"""How many chunks a request reads. More would delay other requests of the process."""
_AT_ONCE: Final = 4
"""How many requests are under way for a value at the same time."""
_TRIES: Final = 5

WRITING: Final = "writing"
WRITTEN: Final = "written"
REMOVING: Final = "removing"


def chunks_for(value: bytes, version: str) -> Chunks:
    """Return the chunks that a value needs."""
    return Chunks(version, -(-len(value) // CHUNK_BYTES), len(value))


async def write_chunks(
    table: Table, key: ItemKey, operation: Set, version: str, now: float
) -> Chunks:
    """Write the chunks of a value, which no reader sees yet. Raises `StorageError`."""
    chunks = chunks_for(operation.value, version)
    record = {
        **key_item(chunks.record),
        "entry_pk": text(key[0]),
        "entry_sk": text(key[1]),
        "chunks": number(chunks.count),
        "size": number(chunks.size),
        "begun_at": number(now),
        "state": text(WRITING),
    }
    await table.send("put_item", writes=True, is_repeatable=True, Item=record)
    view = memoryview(operation.value)

    async def write(numbers: Sequence[int]) -> None:
        for at in numbers:
            part = bytes(view[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES])
            item = {**key_item(chunks.key(at)), "value": {"B": part}}
            await table.send("put_item", writes=True, is_repeatable=True, Item=item)

    # If this fails, a chunk may still arrive; a sweep removes all of them later.
    await _each_group(chunks.count, write)
    return chunks


def settle(chunks: Chunks) -> dict[str, Any]:
    """Return the part of a transaction that makes the record say that the chunks are in use.

    It fails if a sweep has begun to remove them.
    """
    expressions = Expressions()
    state = expressions.name("state")
    written = expressions.value(text(WRITTEN))
    writing = expressions.value(text(WRITING))
    return {
        "Update": {
            "Key": key_item(chunks.record),
            "UpdateExpression": f"SET {state} = {written}",
            "ConditionExpression": f"{state} = {writing}",
            **expressions.placeholders,
        }
    }


async def read_entry(table: Table, key: ItemKey, clock: Clock) -> Entry | None:
    """Return the entry of an item with its value; `None` if there is none or it has expired."""
    missing = ""
    for _ in range(_TRIES):
        item = await table.read(key)
        if not is_alive(item, clock()):
            return None
        chunks = chunks_in(item)
        if chunks is None:
            return entry_of(item)
        value = await read_chunks(table, chunks)
        if value is not None:
            return entry_of(item, value)
        # Another request has replaced the value since its item was read.
        if chunks.version == missing:
            raise StorageError("A part of the value is missing in DynamoDB")
        missing = chunks.version
    raise StorageUnavailable("Other requests keep replacing this value", StorageFailure.BUSY)


async def read_chunks(table: Table, chunks: Chunks) -> bytes | None:
    """Return the value in chunks, `None` if a chunk no longer exists."""
    parts: list[bytes] = [b""] * chunks.count

    async def read(numbers: Sequence[int]) -> None:
        items = await table.read_each([chunks.key(at) for at in numbers])
        for at in numbers:
            item = items.get(chunks.key(at))
            if item is not None:
                parts[at] = item["value"]["B"]

    await _each_group(chunks.count, read)
    value = b"".join(parts)
    return value if len(value) == chunks.size else None


async def discard(table: Table, chunks: Chunks | None) -> None:
    """Remove chunks that no entry has any more. If that fails, a sweep removes them later."""
    if chunks is None:
        return
    keys = [chunks.key(at) for at in range(chunks.count)]
    requests = {key: delete_request(key) for key in keys}
    failed = await table.write_each(requests, is_repeatable=True)
    if not failed:
        record = {chunks.record: delete_request(chunks.record)}
        await table.write_each(record, is_repeatable=True)


async def _each_group(count: int, act: Callable[[Sequence[int]], Awaitable[None]]) -> None:
    """Do something with the numbers of all chunks, a few groups at a time."""
    groups = iter([range(at, min(at + _TOGETHER, count)) for at in range(0, count, _TOGETHER)])

    async def work() -> None:
        for group in groups:
            await act(group)

    outcomes = await asyncio.gather(*(work() for _ in range(_AT_ONCE)), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
