"""What the script of a batch is given for operations, and entries from what Redis answers."""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Final

from ...entry import Entry
from ...operations import Delete, Get, Operation, Precondition, Set
from ..contract import SWEEP_MARGIN_SECONDS
from .layout import Layout

FIELDS: Final = ("value", "is_json", "metadata", "expires_at", "version")
"""Of the hash of an entry; `metadata` and `expires_at` are not there where it has none."""

GRACE_SECONDS: Final = 2 * SWEEP_MARGIN_SECONDS
"""How long after its expiry Redis removes an entry itself, where no server has swept it."""

DONE, FAILED, TOO_LARGE = 1, 0, -1
"""What the script of a batch answers for an operation. A get that is done answers its fields."""


def batch_arguments(
    layout: Layout, operations: Sequence[Operation], versions: Sequence[str], now: float
) -> tuple[list[bytes], list[str | bytes | int]]:
    """The keys and arguments for operations; each set has its new version in `versions`."""
    keys: list[bytes] = []
    arguments: list[str | bytes | int] = []
    for operation, version in zip(operations, versions, strict=True):
        bucket = layout.bucket(operation.key)
        keys.append(layout.entry(bucket, operation.namespace, operation.key))
        arguments += (_act(operation), *_guard(operation.precondition))
        if not isinstance(operation, Get):
            keys += (layout.index(bucket, operation.namespace), layout.expiring(bucket))
            arguments.append(operation.key.encode())
        if isinstance(operation, Set):
            arguments += (version, *_written(operation, now))
    return keys, arguments


def entry_of(key: str, fields: Sequence[bytes | None] | None, now: float) -> Entry | None:
    """The entry that these fields make, unless it is not there or has expired."""
    if fields is None:
        return None
    value, is_json, metadata, expires_at, version = fields
    if value is None or version is None:
        return None
    expiry = None if expires_at is None else float(expires_at)
    if expiry is not None and expiry <= now:
        return None
    return Entry(
        key=key,
        value=value,
        is_json=is_json != b"0",
        metadata=metadata,
        expires_at=expiry,
        version=version.decode(),
    )


def _act(operation: Operation) -> str:
    match operation:
        case Get():
            return "get"
        case Set():
            return "set"
        case Delete():
            return "delete"


def _guard(precondition: Precondition | None) -> Iterator[str | int]:
    """Whether it is negated, how many versions there are, and those."""
    if precondition is None:
        yield from ("0", "-2")
        return
    versions = precondition.versions
    yield "1" if precondition.negated else "0"
    yield -1 if versions is None else len(versions)
    yield from versions or ()


def _written(operation: Set, now: float) -> Iterator[str | bytes | int]:
    yield operation.value
    yield "1" if operation.is_json else "0"
    yield operation.metadata or ""
    if operation.expires_at is None:
        yield from ("", "")
        return
    yield repr(operation.expires_at)
    # A duration, not a time, so that the clock of Redis plays no part.
    yield max(ceil((operation.expires_at - now + GRACE_SECONDS) * 1000), 1)
