"""Decode request bodies to operations, with values that are checked but not encoded again."""

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ....entry import check_key, check_value_size, compact_metadata, lifetime
from ....errors import Detail, InputError, KvError
from ....http.body import check_utf8
from ....http.json_array import SHORT_BYTES, decoded_array
from ....http.json_depth import is_deeper_in_turns
from ....nesting import too_deep
from ....operations import Batch, Delete, Get, Operation, Precondition, Set
from ....options import LimitsOptions
from ...schemas import ExpiresAt, Key, Metadata, Ttl, Value

_IfVersion = Annotated[
    str | None,
    Meta(description="The version that the value must have; null: there must be no value"),
]


class _Body(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    pass


class PutBody(_Body, frozen=True, gc=False):
    """The value to write. Without ttl and expires_at, it stays until it is deleted."""

    value: Value
    ttl: Ttl | UnsetType = UNSET
    expires_at: ExpiresAt | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class GetOperation(_Body, frozen=True, gc=False, tag="get", tag_field="op"):
    """Get a value."""

    key: Key
    if_version: _IfVersion | UnsetType = UNSET


class SetOperation(PutBody, frozen=True, gc=False, kw_only=True, tag="set", tag_field="op"):
    """Set a value."""

    key: Key
    if_version: _IfVersion | UnsetType = UNSET


class DeleteOperation(_Body, frozen=True, gc=False, tag="delete", tag_field="op"):
    """Delete a value."""

    key: Key
    if_version: _IfVersion | UnsetType = UNSET


BatchOperation = GetOperation | SetOperation | DeleteOperation


class BatchBody(_Body, frozen=True):
    """Operations, which run in order."""

    operations: list[BatchOperation]
    atomic: Annotated[bool, Meta(description="Do all of them at one moment, or none")] = False


class _LongBatch(_Body, frozen=True):
    """A batch whose operations are still to be decoded."""

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
_T = TypeVar("_T", bound=_Body)


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
    await _check_depth(body, limits.json_depth, _PUT_DEPTH)
    return _set(_decode(_PUT, body), namespace, key, precondition, limits, now)


async def decode_batch(
    body: bytes | bytearray, *, namespace: str, limits: LimitsOptions, now: float
) -> Batch:
    """Return the batch in a body. Raises `InputError` if any operation is wrong."""
    await _check_depth(body, limits.json_depth, _BATCH_DEPTH)
    is_long = len(body) > SHORT_BYTES
    batch = await _long_batch(body, limits.batch_operations) if is_long else _decode(_BATCH, body)
    if len(batch.operations) > limits.batch_operations:
        raise _invalid(("operations",), f"Expected at most {limits.batch_operations:,} operations")
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


async def _check_depth(body: bytes | bytearray, most: int, around: int) -> None:
    # A shorter body cannot be too deep.
    if len(body) > most and await is_deeper_in_turns(body, most + around):
        raise _invalid((), too_deep(most))


async def _long_batch(body: bytes | bytearray, most: int) -> BatchBody:
    long = _decode(_LONG_BATCH, body)
    text = memoryview(long.operations)
    try:
        operations = await decoded_array(text, _OPERATIONS, _OPERATION, most)
    except msgspec.ValidationError as error:
        raise _explained(str(error), f"$.operations{_note(error)}") from error
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


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes | bytearray) -> _T:
    if not body:
        raise _invalid((), f"The body is empty; {_expected(decoder.type, b'dark')}")
    check_utf8(body)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if not _is_object(body):
            raise _invalid((), f"E{_expected(decoder.type, body)[1:]}") from error
        fields = ", ".join(decoder.type.__struct_fields__)
        raise _explained(str(error), "$", fields) from error
    except RecursionError as error:
        raise _invalid((), "The JSON is nested deeper than this Python can read") from error
    except msgspec.DecodeError as error:
        # The decoder has several unclear messages for half a surrogate pair, but says where it is.
        at = _BYTE.search(str(error))
        end = int(at[1]) + _ESCAPES if at else len(body)
        halves = _HALF_PAIR.search(body, max(0, end - 2 * _ESCAPES), end)
        message = (
            f"Half of a surrogate pair, {halves[0].decode(errors='replace')}"
            if halves
            else str(error)
            if _is_object(body)
            else f"{error}; {_expected(decoder.type, body)}"
        )
        raise _invalid((), message) from error


def _is_object(body: bytes | bytearray) -> bool:
    return body.lstrip().startswith(b"{")


def _expected(kind: type[_Body], body: bytes | bytearray) -> str:
    """Return an example of a right body, with the text of the wrong body if that is short."""
    if kind is not PutBody:
        return 'expected a JSON object, as in {"operations": [{"op": "get", "key": "theme"}]}'
    text = body.strip() if len(body) <= _SHORT_EXAMPLE else b"dark"
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        text = msgspec.json.encode(text.decode())
    return f'expected a JSON object, as in {{"value": {text.decode()}}}'


_SHORT_EXAMPLE: Final = 100
_BYTE: Final = re.compile(r"\(byte (\d+)\)\Z")
_ESCAPES: Final = len(r"\ud83d\ude00") + 4
_HALF_PAIR: Final = re.compile(
    rb"(?i)(?<!\\)(?:\\ud[89ab]..(?!\\ud[c-f])|(?<!\\ud[89ab]..)\\ud[c-f]..)"
)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_NAMED: Final = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
_IN_OPERATION: Final = "op, key, if_version, and in a set what a PUT takes"
_EXPECTED: Final = {
    "ttl": "a whole number of at least 1",
    "expires_at": "a whole number of Unix seconds",
    "operations": "an array of operations",
    "op": '"get", "set" or "delete"',
    "atomic": "true or false",
    "key": "a string",
    "if_version": "a version, or null for none",
}


def _explained(message: str, root: str, fields: str = "") -> KvError:
    """Make an error with details from a message of the decoder.

    `root` is the path in the body at which it was decoding, and `fields` are the fields that it
    accepts there. The message may quote a text as long as the body.
    """
    text, found, at = message.rpartition(" - at `$")
    if not found:
        text, at = message, ""
    at = root[1:] + at.removesuffix("`")
    path: tuple[str | int, ...] = tuple(
        int(index) if index else name for name, index in _STEP.findall(at)
    )
    named = _NAMED.fullmatch(text)
    if named:
        path = (*path, named[2][:100])
        accepted = _IN_OPERATION if len(path) > 1 else fields
        text = "Required" if named[1] == "missing required" else f"Unknown; expected {accepted}"
    elif path and path[-1] in _EXPECTED:
        text = f"Expected {_EXPECTED[str(path[-1])]}"
    else:
        text = "Expected a JSON object"
    return _invalid(path, text)


def _invalid(path: Sequence[str | int], message: str) -> InputError:
    return InputError("Invalid request body", details=[Detail("body", tuple(path), message)])
