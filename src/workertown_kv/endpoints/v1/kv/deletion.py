"""Delete all keys with a prefix, or count them."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct

from ....errors import Detail, InputError
from ....http.answer import Answer
from ....http.exchange import Exchange
from ....http.query import bad_query, is_true
from ....operations import DeletePrefix, Deletion, List
from ....storage import Storage
from ....wire.cursors import encode_cursor
from ..envelope import object_answer
from .listing import MOST_KEYS, cursor_in, whole_number

MOST_DELETED: Final = 10_000
"""The most keys that a request deletes or counts."""

WHAT_TO_DELETE: Final = ("prefix", "all", "cursor", "dry_run", "limit")
"""The parameters of a request that deletes keys with a prefix."""

_CONDITIONS: Final = (b"if-match", b"if-none-match")


class DeletedKeys(Struct, gc=False):
    """How many keys a request has deleted, or would delete."""

    deleted: Annotated[int, Meta(description="How many keys; with `dry_run`, how many there are")]
    cursor: Annotated[str | None, Meta(description="Continues; null if no keys are left")]
    complete: Annotated[bool, Meta(description="Whether no keys are left")]


def decode_deletion(
    exchange: Exchange, namespace: str, parameters: Mapping[str, str]
) -> DeletePrefix:
    """Return the deletion for the parameters of a query."""
    if "key" in parameters:
        raise bad_query("key", "Expected a key, a prefix, or all=true, and only one of them")
    for name in _CONDITIONS:
        if name in exchange.fields:
            message = "Expected no condition: it would be for one key, and a prefix has many"
            raise InputError(
                "Invalid header", details=[Detail("header", (name.decode(),), message)]
            )
    limit = MOST_DELETED
    if "limit" in parameters:
        limit = whole_number(parameters["limit"], "limit", 1, MOST_DELETED)
    cursor = cursor_in(parameters, _kind(parameters))
    return DeletePrefix(namespace, _prefix(parameters), limit, cursor)


def is_dry_run(parameters: Mapping[str, str]) -> bool:
    """Return whether the keys are only counted."""
    return is_true(parameters, "dry_run")


async def count(storage: Storage, operation: DeletePrefix) -> Deletion:
    """Count the keys that a deletion would delete, from its cursor on."""
    counted, cursor = 0, operation.cursor
    while True:
        some = min(MOST_KEYS, operation.limit - counted)
        page = await storage.list(List(operation.namespace, operation.prefix, some, cursor))
        counted += len(page.keys)
        cursor = page.cursor
        if cursor is None or counted == operation.limit:
            return Deletion(counted, cursor)


def encode_deletion(parameters: Mapping[str, str], deletion: Deletion) -> Answer:
    """Return the answer to a deletion."""
    cursor = encode_cursor(_kind(parameters), deletion.cursor)
    return object_answer(DeletedKeys(deletion.deleted, cursor, cursor is None))


def _prefix(parameters: Mapping[str, str]) -> str:
    prefix = parameters.get("prefix")
    if "all" in parameters:
        if prefix is not None:
            raise bad_query("all", "Expected a prefix or all=true, not both")
        if parameters["all"] != "true":
            raise bad_query("all", "Expected true, which deletes all keys of the namespace")
        return ""
    if not prefix:
        raise bad_query("prefix", "Expected a prefix that is not empty; for all keys, all=true")
    return prefix


def _kind(parameters: Mapping[str, str]) -> str:
    # The cursor of a count would skip keys if it continued a deletion.
    return "count" if is_dry_run(parameters) else "delete"
