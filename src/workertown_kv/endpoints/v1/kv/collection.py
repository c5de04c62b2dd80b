"""Many keys at once: listings, and batches of operations."""

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType
from starlette.types import Receive, Scope, Send

from ....entry import Entry, KeyInfo, whole_seconds
from ....errors import KvError, StorageError
from ....operations import Get, List, Operation, Result
from ....options import LimitsOptions
from ....storage import Storage, permitted
from ...envelope import StorageFailed, send_object
from ...request import bad_query, check_json, expect, hold, read_body, user_of
from .bodies import decode_batch

MOST_KEYS: Final = 1000
"""The largest page of a listing, and the default."""


ANSWER_COPIES: Final = 2
"""The values that a batch reads, and the JSON that they become."""


class _Key(Struct, omit_defaults=True, gc=False):
    key: str
    version: str
    expires_at: int | UnsetType = UNSET
    metadata: Raw | UnsetType = UNSET


class _Page(Struct, gc=False):
    keys: list[_Key]
    cursor: str | None
    complete: bool


class _Got(Struct, gc=False):
    key: str
    value: Raw | None = None
    version: str | None = None
    expires_at: int | UnsetType = UNSET
    metadata: Raw | UnsetType = UNSET


class _Done(Struct, gc=False):
    key: str
    version: str | UnsetType = UNSET


class _Failed(Struct, gc=False):
    key: str
    status: int
    error: str


class Collection:
    """What can be done with the keys together."""

    def __init__(self, storage: Storage, limits: LimitsOptions, failed: StorageFailed) -> None:
        self._storage = storage
        self._limits = limits
        self._failed = failed

    async def list(
        self, space: str, asked: Mapping[str, str], scope: Scope, _: Receive, send: Send
    ) -> None:
        """Answer with one page of keys, as the query asks."""
        page = await permitted(self._storage, user_of(scope)).list(
            List(
                space,
                asked.get("prefix", ""),
                _limit(asked.get("limit")),
                _decoded_cursor(asked.get("cursor")),
            )
        )
        cursor = None if page.cursor is None else _encoded_cursor(page.cursor)
        keys = [_Key(info.key, info.version, *_optional(info)) for info in page.keys]
        await send_object(scope, send, _Page(keys, cursor, cursor is None))

    async def batch(self, space: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Do several operations and answer with what came of each."""
        check_json(scope)
        # The storage would refuse it too, but only once the whole body is here.
        user_of(scope).check_somewhere(space, "read", "write")
        body = await read_body(
            scope,
            receive,
            self._limits.batch_bytes,
            "a batch",
            seconds=self._limits.body_seconds,
        )
        batch = await decode_batch(
            body, namespace=space, limits=self._limits, now=self._storage.clock()
        )
        del body
        gets = sum(isinstance(one, Get) for one in batch.operations)
        if 0 < gets < len(batch.operations):
            most = min(self._limits.batch_bytes, gets * self._limits.value_bytes)
            expect(scope, ANSWER_COPIES * most)
        results = await permitted(self._storage, user_of(scope)).batch(batch)
        hold(scope, sum(len(one.value) for one in results if isinstance(one, Entry)))
        for result in results:
            if isinstance(result, StorageError):
                self._failed(result)
        pairs = zip(batch.operations, results, strict=True)
        await send_object(scope, send, [_result(*pair) for pair in pairs])


def _result(operation: Operation, result: Result) -> _Got | _Done | _Failed:
    key = operation.key
    match result:
        case KvError():
            return _Failed(key, result.status, result.message)
        case Entry(is_json=False):
            return _Failed(key, 406, "The value is not JSON; read it by itself as bytes")
        case Entry():
            return _Got(key, Raw(result.value), result.version, *_optional(result))
        case str():
            return _Done(key, result)
    return _Got(key) if isinstance(operation, Get) else _Done(key)


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


# The storage's cursor may be any text; in base64 it passes through every URL unharmed.


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
