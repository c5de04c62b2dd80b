"""Between entries and rows of D1."""

from collections.abc import Sequence
from typing import Any, Final

from ....entry import Entry, KeyInfo
from ....errors import InputError, KeyTooLong, ValueTooLarge
from ....operations import List, Operation, Set
from .. import bridge

KEY_BYTES: Final = 2048
NAMESPACE_BYTES: Final = 255

VALUE_BYTES: Final = 1_995_000
"""D1 keeps rows of 2,000,000 bytes; the rest is for the key and all else beside the value."""

Value = bytes | str | float | None
Statement = tuple[str, Sequence[Value]]
"""The text of a statement, and the values for its marks."""

Place = tuple[str, str]
"""Where an entry is: its namespace and key."""


def place(operation: Operation) -> Place:
    """Where the operation's entry is. Raises `InputError` for what no row can have."""
    size = len(operation.key.encode())
    if size > KEY_BYTES:
        raise KeyTooLong(f"The key has {size:,} bytes; the database keeps {KEY_BYTES:,}")
    if isinstance(operation, Set) and len(operation.value) > VALUE_BYTES:
        raise ValueTooLarge(
            f"The value has {len(operation.value):,} bytes; D1 keeps {VALUE_BYTES:,}"
        )
    return namespace(operation), operation.key


def namespace(operation: Operation | List) -> str:
    """The operation's namespace. Raises `InputError` for one that no row can have."""
    size = len(operation.namespace.encode())
    if size > NAMESPACE_BYTES:
        raise InputError(f"The namespace has {size} bytes; expected at most {NAMESPACE_BYTES}")
    return operation.namespace


def columns_of(entry: Entry) -> Sequence[Value]:
    """The columns of an entry, after its place."""
    metadata = None if entry.metadata is None else entry.metadata.decode()
    value = entry.value.decode() if entry.is_json else entry.value
    return entry.version, entry.expires_at, metadata, value


def entry_of(row: Any) -> Entry | bool:
    """The entry in a row; `False` where its value was left out."""
    value = row.value
    if bridge.is_null(value):
        return False
    info = key_info(row)
    is_json = isinstance(value, str)
    return Entry(
        key=info.key,
        value=value.encode() if is_json else bridge.bytes_of(value),
        is_json=is_json,
        version=info.version,
        expires_at=info.expires_at,
        metadata=info.metadata,
    )


def key_info(row: Any) -> KeyInfo:
    """What a listing says of a row."""
    expires_at, metadata = bridge.plain(row.expires_at), bridge.plain(row.metadata)
    return KeyInfo(
        key=row.key,
        version=row.version,
        expires_at=None if expires_at is None else float(expires_at),
        metadata=None if metadata is None else metadata.encode(),
    )
