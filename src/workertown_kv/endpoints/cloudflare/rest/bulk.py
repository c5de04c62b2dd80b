"""Bulk requests: from bodies to batches, and from results to the keys that failed."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ....errors import InputError, KvError, StorageError
from ....operations import Batch, Delete, Operation, Result, Set
from ....user import User
from ...schemas import Key
from ..bodies import decoded_items
from ..errors import CloudflareError, invalid, translate
from ..limits import BULK_PAIRS, Limits

_GROUP_BYTES: Final = 4 * 1024 * 1024
_GROUP_PAIRS: Final = 500
_KEYS_BYTES: Final = BULK_PAIRS * 6 * 1024


_Seconds = int | float | None


class BulkPair(msgspec.Struct, frozen=True, gc=False):
    """A value to write."""

    key: Key
    # Only the values of one batch are decoded at a time, to keep memory low.
    value: Annotated[Raw, Meta(description="The value", extra_json_schema={"type": "string"})]
    expiration: Annotated[_Seconds, Meta(description="An expiry in Unix seconds")] = None
    expiration_ttl: Annotated[_Seconds, Meta(description="A lifetime in seconds; it wins")] = None
    metadata: Annotated[Raw, Meta(description="Any JSON")] | UnsetType = UNSET
    base64: Annotated[bool | None, Meta(description="Whether the value is in base64")] = None


class BulkResult(msgspec.Struct, frozen=True):
    """How many were done, and which were not."""

    successful_key_count: int
    unsuccessful_keys: list[str]


class BulkValues(msgspec.Struct, frozen=True):
    """The values by their keys."""

    values: Annotated[
        dict[str, Any],
        Meta(
            description="For each key, text or JSON, or `null` where there is no value; with "
            "`withMetadata`, an object: `value`, `metadata`, and `expiration` where there is one"
        ),
    ]


class _Checked(NamedTuple):
    """A pair that may be written, without its value."""

    pair: BulkPair
    is_json: bool
    metadata: bytes | None
    expires_at: float | None


_PAIRS: Final = msgspec.json.Decoder(list[BulkPair])
_PAIR: Final = msgspec.json.Decoder(BulkPair)
_KEYS: Final = msgspec.json.Decoder(list[str])
_TEXT: Final = msgspec.json.Decoder(str)


async def decode_bulk_put(
    body: bytes | bytearray, namespace: str, user: User, limits: Limits, now: float
) -> Iterator[Batch]:
    """Check every pair of a body, and return the batches that write them.

    Each value is decoded only when its batch is made.
    """
    pairs = await decoded_items(body, _PAIRS, _PAIR, BULK_PAIRS, limits.json_depth)
    checked: list[_Checked] = []
    async for index, pair in _in_turns(pairs):
        user.check_key("write", namespace, pair.key)
        checked.append(await _check(pair, index, limits, now))
    return _batches(_set(namespace, one) for one in checked)


def delete_bytes(limits: Limits) -> int:
    """Return the largest body of a bulk delete."""
    return min(_KEYS_BYTES, limits.bulk_bytes)


async def decode_bulk_delete(
    body: bytes | bytearray, namespace: str, user: User, limits: Limits
) -> Iterator[Batch]:
    """Check every key of a body, and return the batches that delete them."""
    keys = await decoded_items(body, _KEYS, _TEXT, BULK_PAIRS, limits.json_depth)
    for index, key in enumerate(keys):
        if index % _GROUP_PAIRS == _GROUP_PAIRS - 1:
            await asyncio.sleep(0)
        limits.check_key(key)
        user.check_key("write", namespace, key)
    return _batches(Delete(namespace, key) for key in keys)


def failed_keys(batch: Batch, results: Sequence[Result]) -> list[str]:
    """Return the keys that the storage failed to write, or cannot keep. Raises other errors."""
    failed: list[str] = []
    for operation, result in zip(batch.operations, results, strict=True):
        if isinstance(result, StorageError | InputError):
            failed.append(operation.key)
        elif isinstance(result, Exception):
            raise result
    return failed


async def _check(pair: BulkPair, index: int, limits: Limits, now: float) -> _Checked:
    try:
        limits.check_key(pair.key)
        value = _value(pair)
        limits.check_value(len(value))
        is_json = await limits.is_json(value)
        expires_at = None
        if pair.expiration_ttl is not None:
            ttl = _whole(pair.expiration_ttl, "expiration_ttl", 10034)
            expires_at = limits.expiring_after(ttl, now)
        elif pair.expiration is not None:
            at = _whole(pair.expiration, "expiration", 10033)
            expires_at = limits.expiring_at(at, now)
        metadata = None if pair.metadata is UNSET else limits.metadata(bytes(pair.metadata))
    except KvError as error:
        status, code, words = translate(error)
        raise CloudflareError(status, code, f"pair {index}: {words}") from error
    return _Checked(pair, is_json, metadata, expires_at)


def _set(namespace: str, checked: _Checked) -> Set:
    return Set(
        namespace=namespace,
        key=checked.pair.key,
        value=_value(checked.pair),
        is_json=checked.is_json,
        metadata=checked.metadata,
        expires_at=checked.expires_at,
    )


def _whole(number: float, name: str, code: int) -> int:
    # The Python SDK makes floats of all numbers, also of those that it reads from this server.
    if number != int(number):
        raise invalid(code, f"Invalid {name} of {number}. Please specify integer greater than 0.")
    return int(number)


def _value(pair: BulkPair) -> bytes:
    try:
        text = _TEXT.decode(pair.value)
    except msgspec.DecodeError as error:
        raise invalid(10012, f"the value of {pair.key[:100]!r} is not a string") from error
    if not pair.base64:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise invalid(10012, f"the value of {pair.key[:100]!r} is not base64: {error}") from error


async def _in_turns(pairs: Sequence[BulkPair]) -> AsyncIterator[tuple[int, BulkPair]]:
    """Iterate over the pairs, with a pause for other requests after every few megabytes."""
    size = 0
    for index, pair in enumerate(pairs):
        size += memoryview(pair.value).nbytes + 1024
        if size > _GROUP_BYTES:
            size = 0
            await asyncio.sleep(0)
        yield index, pair


def _batches(operations: Iterable[Operation]) -> Iterator[Batch]:
    group: list[Operation] = []
    size = 0
    for one in operations:
        group.append(one)
        size += len(one.value) if isinstance(one, Set) else 0
        if size >= _GROUP_BYTES or len(group) >= _GROUP_PAIRS:
            yield Batch(group)
            group, size = [], 0
    if group:
        yield Batch(group)
