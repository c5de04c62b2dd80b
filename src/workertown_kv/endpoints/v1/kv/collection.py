"""Encode the results of batches to answers."""

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ....entry import Entry, KeyInfo, whole_seconds
from ....errors import KvError
from ....http.answer import Answer
from ....operations import Batch, Get, Operation, Result
from ....options import LimitsOptions
from ...schemas import ExpiresAt, Key, Metadata
from ..envelope import object_answer

ANSWER_COPIES: Final = 2
"""How often values are in memory: as the batch reads them, and in the JSON of the answer."""

_NULL: Final = Raw(b"null")


class BatchResult(Struct, gc=False):
    """The result of an operation in a batch."""

    key: Key
    value: (
        Annotated[Raw, Meta(description="Of a get: the value; null where there is none")]
        | UnsetType
    ) = UNSET
    version: (
        Annotated[
            str | None,
            Meta(description="Of a get or set: the version; null where there is no value"),
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
    gets = sum(isinstance(item, Get) for item in batch.operations)
    if not 0 < gets < len(batch.operations):
        return 0
    return ANSWER_COPIES * min(limits.batch_bytes, gets * limits.value_bytes)


def encode_results(batch: Batch, results: Sequence[Result]) -> Answer:
    """Return the answer with the result of each operation of a batch."""
    pairs = zip(batch.operations, results, strict=True)
    return object_answer([_result(*pair) for pair in pairs])


def _result(operation: Operation, result: Result) -> BatchResult:
    key = operation.key
    match result:
        case KvError():
            return BatchResult(key, status=result.status, error=result.message)
        case Entry(is_json=False):
            unreadable = "The value is not JSON; read it by itself as bytes"
            return BatchResult(key, status=406, error=unreadable)
        case Entry():
            return BatchResult(key, Raw(result.value), result.version, *_optional(result))
        case str():
            return BatchResult(key, version=result)
    return BatchResult(key, _NULL, None) if isinstance(operation, Get) else BatchResult(key)


def _optional(info: KeyInfo) -> tuple[int | UnsetType, Raw | UnsetType]:
    return (
        UNSET if info.expires_at is None else whole_seconds(info.expires_at),
        UNSET if info.metadata is None else Raw(info.metadata),
    )
