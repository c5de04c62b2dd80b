"""Decode the bodies of batches to operations."""

import asyncio
import base64 as coding
import binascii
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ....entry import check_key, check_value_size, compact_metadata
from ....errors import Detail, InputError, ValueTooLarge
from ....http.json_array import SHORT_BYTES, decoded_array
from ....nesting import is_deeper, too_deep
from ....operations import Batch, Delete, Get, Operation, Set
from ....options import LimitsOptions
from ....transfer.lines import metadata_of
from ....updates import Target, json_patch, merge, take
from ...schemas import GivenExpiresAt, Key, Metadata, Ttl, Value
from .decoding import Body, check_depth, decode, explained, invalid
from .expiry import expiry_of
from .guards import IfExpiresAt, IfVersion, Versions, guard_of
from .patch_bodies import (
    DescribeBody,
    IncrementFields,
    description_of,
    increment_of,
    steps_in,
)

_NUMBER: Final = {"type": "number"}


class GetOperation(Body, frozen=True, gc=False, tag="get", tag_field="op"):
    """Get a value."""

    key: Key
    if_version: IfVersion | UnsetType = UNSET
    if_match: Versions | UnsetType = UNSET
    if_none_match: Versions | UnsetType = UNSET
    if_expires_at: IfExpiresAt | UnsetType = UNSET


class SetOperation(Body, frozen=True, gc=False, tag="set", tag_field="op"):
    """Set a value, either JSON or bytes."""

    key: Key
    value: Value | UnsetType = UNSET
    text: (
        Annotated[
            str,
            Meta(description="In place of value: JSON text that is kept with its white space"),
        ]
        | UnsetType
    ) = UNSET
    base64: (
        Annotated[str, Meta(description="In place of value: bytes that need not be JSON")]
        | UnsetType
    ) = UNSET
    ttl: Ttl | UnsetType = UNSET
    expires_at: GivenExpiresAt | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    if_version: IfVersion | UnsetType = UNSET
    if_match: Versions | UnsetType = UNSET
    if_none_match: Versions | UnsetType = UNSET
    if_expires_at: IfExpiresAt | UnsetType = UNSET


class DeleteOperation(Body, frozen=True, gc=False, tag="delete", tag_field="op"):
    """Delete a value."""

    key: Key
    if_version: IfVersion | UnsetType = UNSET
    if_match: Versions | UnsetType = UNSET
    if_none_match: Versions | UnsetType = UNSET
    if_expires_at: IfExpiresAt | UnsetType = UNSET


class PatchOperation(Body, frozen=True, gc=False, tag="patch", tag_field="op"):
    """Patch a value, by a merge patch or by a JSON Patch."""

    key: Key
    merge: Annotated[Raw, Meta(description="A merge patch (RFC 7396)")] | UnsetType = UNSET
    json_patch: (
        Annotated[Raw, Meta(description="The operations of a JSON Patch (RFC 6902)")] | UnsetType
    ) = UNSET
    if_version: IfVersion | UnsetType = UNSET
    if_match: Versions | UnsetType = UNSET
    if_none_match: Versions | UnsetType = UNSET
    if_expires_at: IfExpiresAt | UnsetType = UNSET


class IncrementOperation(
    IncrementFields, frozen=True, gc=False, kw_only=True, tag="increment", tag_field="op"
):
    """Add to a number. A key without a value gets one, which may expire."""

    key: Key
    by: Annotated[Raw, Meta(description="What to add", extra_json_schema=_NUMBER)]
    if_version: IfVersion | UnsetType = UNSET
    if_match: Versions | UnsetType = UNSET
    if_none_match: Versions | UnsetType = UNSET
    if_expires_at: IfExpiresAt | UnsetType = UNSET


class TouchOperation(
    DescribeBody, frozen=True, gc=False, kw_only=True, tag="touch", tag_field="op"
):
    """Change the lifetime, the metadata, or both, and keep the value."""

    key: Key
    if_version: IfVersion | UnsetType = UNSET
    if_match: Versions | UnsetType = UNSET
    if_none_match: Versions | UnsetType = UNSET
    if_expires_at: IfExpiresAt | UnsetType = UNSET


class TakeOperation(Body, frozen=True, gc=False, tag="take", tag_field="op"):
    """Remove a value and get it."""

    key: Key
    json: Annotated[bool, Meta(description="Leave a value that is not JSON, with 406")] = False
    if_version: IfVersion | UnsetType = UNSET
    if_match: Versions | UnsetType = UNSET
    if_none_match: Versions | UnsetType = UNSET
    if_expires_at: IfExpiresAt | UnsetType = UNSET


BatchOperation = (
    GetOperation
    | SetOperation
    | DeleteOperation
    | PatchOperation
    | IncrementOperation
    | TouchOperation
    | TakeOperation
)


class BatchBody(Body, frozen=True):
    """Operations, which run in order."""

    example: ClassVar = '{"operations": [{"op": "get", "key": "theme"}]}'

    operations: list[BatchOperation]
    atomic: Annotated[bool, Meta(description="Do all of them at one moment, or none")] = False
    read_bytes: (
        Annotated[int, Meta(ge=0, description="The most bytes of values that it may return")]
        | UnsetType
    ) = UNSET


class _LongBatch(Body, frozen=True):
    """A batch whose operations are still to be decoded."""

    example: ClassVar = BatchBody.example

    operations: Raw
    atomic: bool = False
    read_bytes: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


_ANY: Final = msgspec.json.Decoder(Raw)
_BATCH: Final = msgspec.json.Decoder(BatchBody)
_LONG_BATCH: Final = msgspec.json.Decoder(_LongBatch)
_OPERATIONS: Final = msgspec.json.Decoder(list[BatchOperation])
_OPERATION: Final[msgspec.json.Decoder[BatchOperation]] = msgspec.json.Decoder(BatchOperation)
_TURN_OPERATIONS: Final = 50
_DEPTH: Final = 3
"""How deep a value or metadata is nested in the body of a batch."""


async def decode_batch(
    body: bytes | bytearray,
    *,
    namespace: str,
    limits: LimitsOptions,
    now: float,
    is_precise: bool = False,
) -> Batch:
    """Return the batch in a body. Raises `InputError` if any operation is wrong."""
    await check_depth(body, limits.json_depth, _DEPTH)
    is_long = len(body) > SHORT_BYTES
    batch = await _long_batch(body, limits.batch_operations) if is_long else decode(_BATCH, body)
    if len(batch.operations) > limits.batch_operations:
        raise invalid(("operations",), f"Expected at most {limits.batch_operations:,} operations")
    operations: list[Operation] = []
    for index, item in enumerate(batch.operations):
        if is_long and index % _TURN_OPERATIONS == 0:
            await asyncio.sleep(0)
        try:
            check_key(item.key, limits.key_bytes)
        except InputError as error:
            detail = Detail("body", ("operations", index, "key"), error.message)
            raise type(error)("Invalid request body", details=[detail]) from error
        path = ("operations", index)
        target = Target(namespace, item.key, guard_of(item, path))
        operations.append(_operation(item, target, limits, now, path, is_precise=is_precise))
    read_bytes = limits.batch_bytes
    if batch.read_bytes is not UNSET:
        read_bytes = min(read_bytes, batch.read_bytes)
    return Batch(operations, atomic=batch.atomic, read_bytes=read_bytes)


def _operation(
    item: BatchOperation,
    target: Target,
    limits: LimitsOptions,
    now: float,
    path: tuple[str | int, ...],
    *,
    is_precise: bool,
) -> Operation:
    match item:
        case GetOperation():
            return Get(target.namespace, target.key, target.precondition)
        case DeleteOperation():
            return Delete(target.namespace, target.key, target.precondition)
        case SetOperation():
            return _set(item, target, limits, now, path, is_precise=is_precise)
        case PatchOperation():
            return _patch(item, target, limits, path)
        case IncrementOperation():
            return increment_of(item, item.by, "by", target, now, path, is_precise=is_precise)
        case TouchOperation():
            return description_of(item, target, now, path, is_precise=is_precise)
        case TakeOperation():
            return take(target, limits, as_bytes=not item.json)


async def _long_batch(body: bytes | bytearray, most: int) -> BatchBody:
    long = decode(_LONG_BATCH, body)
    text = memoryview(long.operations)
    try:
        operations = await decoded_array(text, _OPERATIONS, _OPERATION, most)
    except msgspec.ValidationError as error:
        raise explained(str(error), f"$.operations{_note(error)}") from error
    return BatchBody(operations, long.atomic, long.read_bytes)


def _note(error: Exception) -> str:
    return "".join(getattr(error, "__notes__", ()))


def _set(
    item: SetOperation,
    target: Target,
    limits: LimitsOptions,
    now: float,
    path: tuple[str | int, ...],
    *,
    is_precise: bool,
) -> Set:
    value, is_json = _value(item, limits, path)
    check_value_size(len(value), limits.value_bytes)
    metadata = item.metadata
    if is_precise:
        kept = metadata_of(metadata, path)
    else:
        kept = None if metadata is UNSET else compact_metadata(bytes(metadata), path)
    return Set(
        namespace=target.namespace,
        key=target.key,
        value=value,
        is_json=is_json,
        metadata=kept,
        expires_at=expiry_of(item.ttl, item.expires_at, now, path, is_precise=is_precise),
        precondition=target.precondition,
    )


def _value(
    item: SetOperation, limits: LimitsOptions, path: tuple[str | int, ...]
) -> tuple[bytes, bool]:
    """Return the value of a set, and whether it is JSON."""
    if [item.value, item.text, item.base64].count(UNSET) != 2:
        raise invalid((*path, "value"), "Expected value, text or base64, and only one of them")
    if item.value is not UNSET:
        return bytes(item.value), True
    if item.text is not UNSET:
        text = item.text.encode()
        _check_text(text, limits.json_depth, (*path, "text"))
        return text, True
    assert item.base64 is not UNSET
    return _decoded(item.base64, path), False


def _check_text(text: bytes, depth: int, path: tuple[str | int, ...]) -> None:
    try:
        _ANY.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid(path, "Expected JSON text") from error
    if is_deeper(text, depth):
        raise invalid(path, too_deep(depth))


def _decoded(text: str, path: tuple[str | int, ...]) -> bytes:
    try:
        return coding.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid((*path, "base64"), "Expected base64 with padding") from error


def _patch(
    item: PatchOperation, target: Target, limits: LimitsOptions, path: tuple[str | int, ...]
) -> Operation:
    if item.merge is not UNSET and item.json_patch is UNSET:
        _check_patch_size(len(item.merge), limits, (*path, "merge"))
        return merge(target, bytes(item.merge), limits)
    if item.json_patch is not UNSET and item.merge is UNSET:
        _check_patch_size(len(item.json_patch), limits, (*path, "json_patch"))
        steps = steps_in(bytes(item.json_patch), (*path, "json_patch"))
        return json_patch(target, steps, len(item.json_patch), limits)
    raise invalid((*path, "merge"), "Expected merge or json_patch, and not both")


def _check_patch_size(size: int, limits: LimitsOptions, path: tuple[str | int, ...]) -> None:
    if size > limits.patch_bytes:
        message = f"The patch has {size:,} bytes; at most {limits.patch_bytes:,} are allowed"
        raise ValueTooLarge("Invalid request body", details=[Detail("body", path, message)])
