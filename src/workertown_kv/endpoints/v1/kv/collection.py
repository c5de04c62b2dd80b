"""Decode listings and batches from requests, and encode their results to answers."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ....entry import Entry, KeyInfo, whole_seconds
from ....errors import KvError
from ....http.answer import Answer
from ....http.query import bad_query
from ....operations import Batch, Get, List, Operation, Page, Result
from ....options import LimitsOptions
from ...schemas import ExpiresAt, Key, Metadata, Version
from ..envelope import object_answer

MOST_KEYS: Final = 1000
"""The largest page of a listing, and the default."""


ANSWER_COPIES: Final = 2
"""How often values are in memory: as the batch reads them, and in the JSON of the answer."""

_NULL: Final = Raw(b"null")


class ListedKey(Struct, omit_defaults=True, gc=False):
    """A key, with the version, the expiry and the metadata of its value."""

    key: Key
    version: Version
    expires_at: ExpiresAt | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class KeyPage(Struct, gc=False):
    """A page of keys, in the order of their bytes in UTF-8."""

    keys: list[ListedKey]
    cursor: Annotated[str | None, Meta(description="Asks for the next page; null on the last")]
    complete: Annotated[bool, Meta(description="Whether this is the last page")]


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


def decode_list(namespace: str, parameters: Mapping[str, str]) -> List:
    """Return the listing for the parameters of a query."""
    return List(
        namespace,
        parameters.get("prefix", ""),
        _limit(parameters.get("limit")),
        _decoded_cursor(parameters.get("cursor")),
    )


def encode_page(page: Page) -> Answer:
    """Return the answer with a page of keys."""
    cursor = None if page.cursor is None else _encoded_cursor(page.cursor)
    keys = [ListedKey(info.key, info.version, *_optional(info)) for info in page.keys]
    return object_answer(KeyPage(keys, cursor, cursor is None))


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


def _limit(text: str | None) -> int:
    if text is None:
        return MOST_KEYS
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MOST_KEYS:
        return int(text)
    raise bad_query("limit", f"Expected a whole number from 1 to {MOST_KEYS:,}")


# The storage's cursor may be any text; base64 makes it safe in every URL.


def _encoded_cursor(cursor: str) -> str:
    return base64.urlsafe_b64encode(cursor.encode()).decode().rstrip("=")


def _decoded_cursor(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error):
        raise bad_query("cursor", "Expected the cursor of the page before") from None
