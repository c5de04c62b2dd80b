"""Encode the results of batches to answers."""

import base64
from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ....entry import Entry
from ....errors import KvError, NotFound
from ....http.answer import Answer
from ....operations import Batch, Get, Operation, Result, Touch, Update, Updated
from ....options import LimitsOptions
from ....wire.values import has_space_around
from ...schemas import ExpiresAt, Key, Metadata, SpacedText
from ..envelope import object_answer
from ..shown_expiry import shown_expiry

ANSWER_COPIES: Final = 2
"""How often values are in memory: as the batch reads them, and in the JSON of the answer."""

_NULL: Final = Raw(b"null")


class BatchResult(Struct, gc=False):
    """The result of an operation in a batch."""

    key: Key
    value: (
        Annotated[
            Raw,
            Meta(
                description="Of a get: the value; null where there is none. Of a patch or an "
                "increment: the new value. Of a take: the removed value"
            ),
        ]
        | UnsetType
    ) = UNSET
    base64: (
        Annotated[str, Meta(description="In place of value: the bytes of one that is not JSON")]
        | UnsetType
    ) = UNSET
    text: SpacedText | UnsetType = UNSET
    version: (
        Annotated[
            str | None,
            Meta(description="The version of the value; null where a get finds none"),
        ]
        | UnsetType
    ) = UNSET
    expires_at: ExpiresAt | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    status: (
        Annotated[int, Meta(description="Where it failed: the status it would have by itself")]
        | UnsetType
    ) = UNSET
    error: (
        Annotated[str, Meta(description="Where it failed: one line on what went wrong")] | UnsetType
    ) = UNSET


def batch_answer_bytes(batch: Batch, limits: LimitsOptions) -> int:
    """Return how much memory the answer to a batch may take, 0 if it can still be refused later.

    A batch that only reads can be refused after the values have been read.
    """
    shown = gets = 0
    for item in batch.operations:
        if isinstance(item, Get):
            gets += 1
            shown += limits.value_bytes
        elif isinstance(item, Update):
            shown += item.shown_bytes
    if gets == len(batch.operations):
        return 0
    return ANSWER_COPIES * min(limits.batch_bytes, shown)


def shown_bytes(result: Result) -> int:
    """Return how many bytes of a value the answer shows for a result."""
    entry = shown_entry(result)
    return 0 if entry is None else len(entry.value)


def shown_entry(result: Result) -> Entry | None:
    """Return the entry that the answer shows for a result, `None` if there is none."""
    if isinstance(result, Updated):
        return result.after or result.before
    return result if isinstance(result, Entry) else None


def encode_results(batch: Batch, results: Sequence[Result], *, is_precise: bool = False) -> Answer:
    """Return the answer with the result of each operation of a batch."""
    pairs = zip(batch.operations, results, strict=True)
    return object_answer([_result(*pair, is_precise) for pair in pairs])


def _result(operation: Operation, result: Result, is_precise: bool) -> BatchResult:
    key = operation.key
    match result:
        case KvError():
            return BatchResult(key, status=result.status, error=result.message)
        case Entry():
            return _shown(result, is_precise)
        case Updated():
            entry = shown_entry(result)
            if entry is None or not (isinstance(operation, Update) and operation.reads):
                return BatchResult(key, version=None if entry is None else entry.version)
            return _shown(entry, is_precise)
        case str():
            return BatchResult(key, version=result)
    match operation:
        case Get():
            return BatchResult(key, _NULL, version=None)
        case Touch():
            error = NotFound()
            return BatchResult(key, status=error.status, error=error.message)
    return BatchResult(key)


def _shown(entry: Entry, is_precise: bool) -> BatchResult:
    shown = BatchResult(
        entry.key,
        version=entry.version,
        expires_at=shown_expiry(entry.expires_at, is_precise=is_precise),
        metadata=UNSET if entry.metadata is None else Raw(entry.metadata),
    )
    if not entry.is_json:
        shown.base64 = base64.b64encode(entry.value).decode()
    elif is_precise and has_space_around(entry.value):
        shown.text = entry.value.decode()
    else:
        shown.value = Raw(entry.value)
    return shown
