"""Encode batches for the native API, and decode their results."""

import base64
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from ..operations import (
    Batch,
    Delete,
    Get,
    Operation,
    Precondition,
    Result,
    Set,
    Touch,
    Update,
    Updated,
)
from ..patches.tree import written
from ..updates import Count, Describe, Merge, PatchSteps, Reserving, Take
from .entries import Fields
from .failures import failure_of
from .values import has_space_around

_Json = dict[str, Any]

_AROUND_BYTES: Final = 512
"""More than the names of fields, a lifetime and a precondition take."""
_ESCAPED: Final = 6
"""The most bytes that a character of a key takes in JSON."""
_UPDATE_BYTES: Final = 4096
"""More than the metadata or the numbers of an update take."""


class _Fields(Fields):
    """A result."""

    status: int = 200
    error: str = ""


_RESULTS: Final = msgspec.json.Decoder(list[_Fields])
_ENCODER: Final = msgspec.json.Encoder()


def is_sendable(operation: Operation) -> bool:
    """Return whether the native API has an operation: of updates, only those that it makes."""
    return not isinstance(operation, Update) or isinstance(act_of(operation), _ACTS)


def act_of(operation: Update) -> object:
    """Return what decides, without the reservation of memory around it."""
    decide = operation.decide
    return decide.decide if isinstance(decide, Reserving) else decide


_ACTS: Final = (Merge, PatchSteps, Count, Describe, Take)


def encode_batch(batch: Batch) -> bytes:
    """Return the body of the request for a batch, for which `precise=true` must be asked."""
    operations = [_operation(item) for item in batch.operations]
    return _ENCODER.encode(
        {"operations": operations, "atomic": batch.atomic, "read_bytes": batch.read_bytes}
    )


def body_bytes(operation: Operation) -> int:
    """Return at least as many bytes as an operation takes in the body of a batch."""
    size = _AROUND_BYTES + _ESCAPED * len(operation.key)
    match operation:
        case Set():
            # Base64 adds a third; escapes double the text of JSON at most.
            size += 2 * len(operation.value) + len(operation.metadata or b"")
        case Update():
            size += 2 * operation.patch_bytes + _UPDATE_BYTES
    return size


def decode_results(batch: Batch, data: bytes) -> Sequence[Result]:
    """Return the results in an answer. Raises `msgspec.DecodeError` or `ValueError`."""
    found = _RESULTS.decode(data)
    return [_result(*pair) for pair in zip(batch.operations, found, strict=True)]


def _operation(operation: Operation) -> _Json:
    sent = _body(operation)
    sent["key"] = operation.key
    if operation.precondition is not None:
        sent |= _guard(operation.precondition)
    return sent


def _guard(precondition: Precondition) -> _Json:
    versions: Any = "*" if precondition.versions is None else precondition.versions
    guard: _Json = {"if_none_match" if precondition.negated else "if_match": versions}
    if precondition.expires_at is not UNSET:
        guard["if_expires_at"] = precondition.expires_at
    return guard


def _body(operation: Operation) -> _Json:
    match operation:
        case Get():
            return {"op": "get"}
        case Delete():
            return {"op": "delete"}
        case Touch():
            return {"op": "touch", "expires_at": operation.expires_at}
        case Set():
            return _set(operation)
        case Update():
            return _update(act_of(operation))


def _set(operation: Set) -> _Json:
    sent: _Json = {"op": "set"}
    value = operation.value
    if not operation.is_json:
        sent["base64"] = base64.b64encode(value).decode()
    elif has_space_around(value):
        sent["text"] = value.decode()
    else:
        sent["value"] = Raw(value)
    if operation.metadata is not None:
        sent["metadata"] = Raw(operation.metadata)
    if operation.expires_at is not None:
        sent["expires_at"] = operation.expires_at
    return sent


def _update(act: object) -> _Json:
    match act:
        case Merge():
            return {"op": "patch", "merge": Raw(act.patch)}
        case PatchSteps():
            return {"op": "patch", "json_patch": Raw(written(list(act.steps)))}
        case Take():
            return {"op": "take", "json": not act.as_bytes}
        case Describe():
            metadata = Raw(b"null" if act.metadata is None else act.metadata)
            described: _Json = {"op": "touch", "metadata": metadata}
            if act.expires_at is not UNSET:
                described["expires_at"] = act.expires_at
            return described
        case Count():
            by = act.by
            sent: _Json = {"op": "increment", "by": _number(by.by), "initial": _number(by.initial)}
            if by.least is not None:
                sent["min"] = _number(by.least)
            if by.most is not None:
                sent["max"] = _number(by.most)
            if act.expires_at is not None:
                sent["expires_at"] = act.expires_at
            return sent
    raise TypeError(f"{type(act).__name__} is no act of the native API")


def _number(number: object) -> Raw:
    return Raw(str(number).encode())


def _result(operation: Operation, found: _Fields) -> Result:
    if found.error:
        if isinstance(operation, Touch) and found.status == 404:
            return None
        return failure_of(found.status, found.error)
    match operation:
        case Get():
            return None if found.version is None else found.entry()
        case Set() | Touch():
            return found.version or ""
        case Update():
            entry = found.entry()
            is_taken = isinstance(act_of(operation), Take)
            return Updated(entry, None) if is_taken else Updated(None, entry)
    return None
