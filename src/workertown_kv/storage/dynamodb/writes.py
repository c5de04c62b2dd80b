"""Write single entries: each by one request, or as a part of a transaction."""

from typing import Any

from ...errors import PreconditionFailed
from ...operations import Delete, Get, Set, Touch
from .connection import Given
from .expressions import Expressions
from .failures import ConditionFailed
from .large import discard
from .layout import (
    TIME_TO_LIVE,
    Chunks,
    ItemKey,
    chunks_in,
    is_alive,
    item_of,
    key_item,
    lifetime,
)
from .table import Table


async def set_small(table: Table, operation: Set, version: str, now: float) -> None:
    """Write an entry whose value fits into its item."""
    key = table.layout.key_of(operation)
    await _replace(table, "put_item", put(key, operation, version, None, now))


async def delete(table: Table, operation: Delete, now: float) -> None:
    """Remove an entry."""
    await _replace(table, "delete_item", removal(table.layout.key_of(operation), operation, now))


async def touch(table: Table, operation: Touch, now: float) -> str | None:
    """Change the lifetime of an entry. Returns its version, `None` if there is no entry."""
    try:
        answer = await table.send(
            "update_item",
            writes=True,
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **change(table.layout.key_of(operation), operation, now),
        )
    except ConditionFailed as error:
        condition = operation.precondition
        if is_alive(error.item, now) or not (condition is None or condition.allows(None)):
            raise PreconditionFailed from error
        return None
    version: str = answer["Attributes"]["version"]["S"]
    return version


def put(
    key: ItemKey, operation: Set, version: str, chunks: Chunks | None, now: float
) -> dict[str, Any]:
    """Return the parameters that put the item of an entry."""
    condition = Expressions().condition(operation.precondition, now)
    return {"Item": item_of(key, operation, version, chunks), **condition}


def removal(key: ItemKey, operation: Delete, now: float) -> dict[str, Any]:
    """Return the parameters that delete the item of an entry."""
    return {"Key": key_item(key), **Expressions().condition(operation.precondition, now)}


def check(key: ItemKey, operation: Get, now: float) -> dict[str, Any]:
    """Return the parameters that check a precondition and change nothing."""
    return {"Key": key_item(key), **Expressions().condition(operation.precondition, now)}


def change(key: ItemKey, operation: Touch, now: float) -> dict[str, Any]:
    """Return the parameters that change the lifetime of an entry, if it exists."""
    expressions = Expressions()
    conditions = [expressions.alive(now)]
    if operation.precondition is not None:
        conditions.append(expressions.holds(operation.precondition, now))
    new = lifetime(operation.expires_at)
    if new:
        sets = (f"{expressions.name(one)} = {expressions.value(to)}" for one, to in new.items())
        update = f"SET {', '.join(sets)}"
    else:
        update = f"REMOVE {', '.join(map(expressions.name, ('expires_at', TIME_TO_LIVE)))}"
    return {
        "Key": key_item(key),
        "UpdateExpression": update,
        "ConditionExpression": " AND ".join(conditions),
        **expressions.placeholders,
    }


async def _replace(table: Table, action: str, given: Given) -> None:
    """Replace or delete the item of an entry, and the chunks that it had."""
    try:
        answer = await table.send(action, writes=True, ReturnValues="ALL_OLD", **given)
    except ConditionFailed as error:
        raise PreconditionFailed from error
    await discard(table, chunks_in(answer.get("Attributes", {})))
