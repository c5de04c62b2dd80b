"""Make the arguments of the batch script, and entries from the answers of Redis."""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Final

from msgspec import UNSET

from ...entry import Entry
from ...operations import Delete, Get, Operation, Precondition, Set, Touch, Update
from ..contract import SWEEP_MARGIN_SECONDS
from .layout import Layout

FIELDS: Final = ("value", "is_json", "metadata", "expires_at", "version")
"""The fields of the hash of an entry. It may lack `metadata` and `expires_at`."""

GRACE_SECONDS: Final = 2 * SWEEP_MARGIN_SECONDS
"""How long after its expiry Redis itself removes an entry that no server has swept."""

DONE, FAILED, TOO_LARGE, ABSENT = 1, 0, -1, -2
"""The batch script's answers for an operation. A get is answered by the fields that it found."""


def batch_arguments(
    layout: Layout, operations: Sequence[Operation], versions: Sequence[str], now: float
) -> tuple[list[bytes], list[str | bytes | int]]:
    """Return the keys and arguments for operations. `versions` has the new version of each set."""
    keys: list[bytes] = []
    arguments: list[str | bytes | int] = []
    for operation, version in zip(operations, versions, strict=True):
        bucket = layout.bucket(operation.key)
        keys.append(layout.entry(bucket, operation.namespace, operation.key))
        arguments += (_act(operation), *_guard(operation.precondition))
        if not isinstance(operation, Get):
            keys += (
                layout.index(bucket, operation.namespace),
                layout.expiring(bucket),
                layout.log(bucket),
            )
            arguments.append(operation.key.encode())
        if isinstance(operation, Set):
            arguments += (version, *_written(operation), *_lifetime(operation, now))
        elif isinstance(operation, Touch):
            arguments += _lifetime(operation, now)
    return keys, arguments


def entry_of(key: str, fields: Sequence[bytes | None] | None, now: float) -> Entry | None:
    """Return the entry of these fields, `None` if it does not exist or has expired."""
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
        case Touch():
            return "touch"
        case Update():
            raise AssertionError(operation)  # no script can decide it


def _guard(precondition: Precondition | None) -> Iterator[str | int]:
    """Yield whether the precondition is negated, how many versions it has, and these versions.

    Instead of a number, -1 stands for any version, -2 for no precondition, and -3 for one version
    and the expiry, which follow.
    """
    if precondition is None:
        yield from ("0", "-2")
        return
    versions = precondition.versions
    if precondition.expires_at is not UNSET:
        (version,) = versions or ("",)
        expires_at = precondition.expires_at
        yield from ("0", "-3", version, "" if expires_at is None else repr(expires_at))
        return
    yield "1" if precondition.negated else "0"
    yield -1 if versions is None else len(versions)
    yield from versions or ()


def _written(operation: Set) -> Iterator[str | bytes | int]:
    yield operation.value
    yield "1" if operation.is_json else "0"
    yield operation.metadata or ""


def _lifetime(operation: Set | Touch, now: float) -> Iterator[str | bytes | int]:
    if operation.expires_at is None:
        yield from ("", "")
        return
    yield repr(operation.expires_at)
    # This is a duration and not a time, so that the clock of Redis does not matter.
    yield max(ceil((operation.expires_at - now + GRACE_SECONDS) * 1000), 1)
