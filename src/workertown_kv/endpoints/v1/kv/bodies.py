"""Decode request bodies to operations, with values that are checked but not encoded again."""

import asyncio
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ....entry import check_key, check_value_size, compact_metadata, lifetime
from ....errors import Detail, InputError
from ....http.json_array import SHORT_BYTES, decoded_array
from ....operations import Batch, Delete, Get, Operation, Precondition, Set
from ....options import LimitsOptions
from ...schemas import ExpiresAt, Key, Metadata, Ttl, Value
from .decoding import Body, check_depth, decode, explained, invalid

_IfVersion = Annotated[
    str | None,
    Meta(description="The version that the value must have; null: there must be no value"),
]


class PutBody(Body, frozen=True, gc=False):
    """The value to write. Without ttl and expires_at, it stays until it is deleted."""

    value: Value
    ttl: Ttl | UnsetType = UNSET
    expires_at: ExpiresAt | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class GetOperation(Body, frozen=True, gc=False, tag="get", tag_field="op"):
    """Get a value."""

    key: Key
    if_version: _IfVersion | UnsetType = UNSET


class SetOperation(PutBody, frozen=True, gc=False, kw_only=True, tag="set", tag_field="op"):
    """Set a value."""

    key: Key
    if_version: _IfVersion | UnsetType = UNSET


class DeleteOperation(Body, frozen=True, gc=False, tag="delete", tag_field="op"):
    """Delete a value."""

    key: Key
    if_version: _IfVersion | UnsetType = UNSET


BatchOperation = GetOperation | SetOperation | DeleteOperation


class BatchBody(Body, frozen=True):
    """Operations, which run in order."""

    example: ClassVar = '{"operations": [{"op": "get", "key": "theme"}]}'

    operations: list[BatchOperation]
    atomic: Annotated[bool, Meta(description="Do all of them at one moment, or none")] = False


class _LongBatch(Body, frozen=True):
    """A batch whose operations are still to be decoded."""

    example: ClassVar = BatchBody.example

    operations: Raw
    atomic: bool = False


_PUT: Final = msgspec.json.Decoder(PutBody)
_BATCH: Final = msgspec.json.Decoder(BatchBody)
_LONG_BATCH: Final = msgspec.json.Decoder(_LongBatch)
_OPERATIONS: Final = msgspec.json.Decoder(list[BatchOperation])
_OPERATION: Final[msgspec.json.Decoder[BatchOperation]] = msgspec.json.Decoder(BatchOperation)
_TURN_OPERATIONS: Final = 50
_PUT_DEPTH: Final = 1
"""How deep a value or metadata is nested in the body of a `PUT`."""
_BATCH_DEPTH: Final = 3
"""How deep a value or metadata is nested in the body of a batch."""


async def decode_put(
    body: bytes | bytearray,
    *,
    namespace: str,
    key: str,
    precondition: Precondition | None,
    limits: LimitsOptions,
    now: float,
) -> Set:
    """Return the operation in the body of a `PUT`."""
    await check_depth(body, limits.json_depth, _PUT_DEPTH)
    return _set(decode(_PUT, body), namespace, key, precondition, limits, now)


async def decode_batch(
    body: bytes | bytearray, *, namespace: str, limits: LimitsOptions, now: float
) -> Batch:
    """Return the batch in a body. Raises `InputError` if any operation is wrong."""
    await check_depth(body, limits.json_depth, _BATCH_DEPTH)
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
        precondition = None if item.if_version is UNSET else _if_version(item.if_version)
        match item:
            case GetOperation():
                operations.append(Get(namespace, item.key, precondition))
            case DeleteOperation():
                operations.append(Delete(namespace, item.key, precondition))
            case SetOperation():
                path = ("operations", index)
                operations.append(_set(item, namespace, item.key, precondition, limits, now, path))
    return Batch(operations, atomic=batch.atomic, read_bytes=limits.batch_bytes)


async def _long_batch(body: bytes | bytearray, most: int) -> BatchBody:
    long = decode(_LONG_BATCH, body)
    text = memoryview(long.operations)
    try:
        operations = await decoded_array(text, _OPERATIONS, _OPERATION, most)
    except msgspec.ValidationError as error:
        raise explained(str(error), f"$.operations{_note(error)}") from error
    return BatchBody(operations, long.atomic)


def _note(error: Exception) -> str:
    return "".join(getattr(error, "__notes__", ()))


def _if_version(version: str | None) -> Precondition:
    return Precondition(negated=True) if version is None else Precondition((version,))


def _set(
    put: PutBody,
    namespace: str,
    key: str,
    precondition: Precondition | None,
    limits: LimitsOptions,
    now: float,
    path: tuple[str | int, ...] = (),
) -> Set:
    value = bytes(put.value)
    check_value_size(len(value), limits.value_bytes)
    return Set(
        namespace=namespace,
        key=key,
        value=value,
        metadata=None if put.metadata is UNSET else compact_metadata(bytes(put.metadata), path),
        expires_at=lifetime(
            ttl=None if put.ttl is UNSET else put.ttl,
            expires_at=None if put.expires_at is UNSET else put.expires_at,
            now=now,
            path=path,
        ),
        precondition=precondition,
    )
