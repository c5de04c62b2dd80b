"""Change several items at one moment, by one transaction."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

import msgspec

from ...errors import (
    PreconditionFailed,
    StorageError,
    StorageUnavailable,
    StorageUnsupported,
    ValueTooLarge,
)
from ...operations import Delete, Get, Set, Touch
from .connection import Patience
from .failures import (
    CONFLICT_REASON,
    THROTTLED_REASONS,
    Cancelled,
    Conflicted,
    Invalid,
    Throttled,
)
from .large import discard, settle, write_chunks
from .layout import INLINE_BYTES, Chunks, Item, ItemKey, chunks_in, key_item
from .table import Table
from .writes import change, check, put, removal

MOST_ITEMS: Final = 100
"""The most items of a transaction."""
MOST_BYTES: Final = 2_800_000
"""The most bytes of values in a transaction, which may have 4 MB, also if they are in base64."""

Action = Set | Delete | Touch | Get
"""A write, or a get whose precondition must hold."""


class Step(msgspec.Struct):
    """A part of a transaction. No other part is about the same entry."""

    operation: Action
    version: str = ""
    """The new version of a set."""
    chunks: Chunks | None = None


async def read_at_once(table: Table, keys: Sequence[ItemKey]) -> dict[ItemKey, Item]:
    """Return the items that exist at one moment, of at most 100 different keys."""
    _check_count(len(keys), "reads")
    gets = [{"Get": {"TableName": table.name, "Key": key_item(key)}} for key in keys]
    patience = table.connection.patience()
    while True:
        try:
            answer = await table.connection.send(
                "transact_get_items", {"TransactItems": gets}, writes=False
            )
        except Invalid as error:
            # The keys are valid, so that only their items can be too large.
            raise ValueTooLarge(
                "DynamoDB reads at most 4 MB at one moment; the entries of this atomic batch have "
                "more"
            ) from error
        except Cancelled as error:
            await _wait_or_raise(patience, error)
        else:
            found = zip(keys, answer["Responses"], strict=True)
            return {key: one["Item"] for key, one in found if one.get("Item")}


async def commit(table: Table, steps: Sequence[Step], now: float) -> None:
    """Do all steps at one moment. Raises `StorageUnsupported` if they are too many.

    If the condition of a step does not hold, it raises `Cancelled` with the indexes of such steps,
    and nothing has changed.
    """
    large = _too_large(steps)
    _check_count(len(steps) + len(large), "changes")
    for step in large:
        assert isinstance(step.operation, Set)
        key = table.layout.key_of(step.operation)
        step.chunks = await write_chunks(table, key, step.operation, step.version, now)
    parts = [_part(table, step, now) for step in steps]
    parts += [settle(step.chunks) for step in large if step.chunks is not None]
    try:
        await _transact(table, parts)
    except Cancelled as error:
        for step in large:
            await discard(table, step.chunks)
        if min(error.failed) >= len(steps):
            raise StorageUnavailable(
                "A sweep has removed chunks of this value, since writing it took too long"
            ) from error
        raise


async def set_large(table: Table, operation: Set, version: str, now: float) -> None:
    """Write an entry whose value does not fit into its item."""
    key = table.layout.key_of(operation)
    before = await table.read(key, ["version", "chunks", "size"])
    try:
        await commit(table, [Step(operation, version)], now)
    except Cancelled as error:
        raise PreconditionFailed from error
    await discard(table, chunks_in(before))


async def _transact(table: Table, parts: Sequence[dict[str, Any]]) -> None:
    for part in parts:
        for parameters in part.values():
            parameters["TableName"] = table.name
    patience = table.connection.patience()
    while True:
        # DynamoDB does a transaction once, however often it arrives with the same token.
        given = {"TransactItems": parts, "ClientRequestToken": uuid4().hex}
        try:
            await table.connection.send(
                "transact_write_items", given, writes=True, is_repeatable=True
            )
        except Cancelled as error:
            await _wait_or_raise(patience, error)
        else:
            return


async def _wait_or_raise(patience: Patience, error: Cancelled) -> None:
    """Wait until the transaction can be sent again, or raise an error."""
    if error.failed:
        raise error
    if CONFLICT_REASON in error.reasons:
        await patience.wait(Conflicted())
    elif THROTTLED_REASONS.intersection(error.reasons):
        await patience.wait(Throttled())
    elif "ValidationError" in error.reasons:
        raise Invalid(f"DynamoDB refuses a transaction: {error}") from error.__cause__
    else:
        raise StorageError(f"DynamoDB does not do a transaction: {error}") from error.__cause__


def _part(table: Table, step: Step, now: float) -> dict[str, Any]:
    key = table.layout.key_of(step.operation)
    match step.operation:
        case Set() as operation:
            return {"Put": put(key, operation, step.version, step.chunks, now)}
        case Delete() as operation:
            return {"Delete": removal(key, operation, now)}
        case Touch() as operation:
            return {"Update": change(key, operation, now)}
        case Get() as operation:
            return {"ConditionCheck": check(key, operation, now)}


def _too_large(steps: Sequence[Step]) -> list[Step]:
    """Return the sets whose values go into chunks: large values, and as many as do not fit."""
    sets = [step for step in steps if isinstance(step.operation, Set)]
    sets.sort(key=_size)
    left = MOST_BYTES
    for index, step in enumerate(sets):
        left -= _size(step)
        if left < 0 or _size(step) > INLINE_BYTES:
            return sets[index:]
    return []


def _size(step: Step) -> int:
    return len(step.operation.value) if isinstance(step.operation, Set) else 0


def _check_count(items: int, verb: str) -> None:
    if items > MOST_ITEMS:
        raise StorageUnsupported(
            f"DynamoDB {verb} at most {MOST_ITEMS} items at one moment; an atomic batch of "
            f"{MOST_ITEMS} different keys works, where a large value that is written counts twice. "
            f"This batch needs {items}"
        )
