"""Between entries and rows. In rows every text is bytes, so that no value is decoded on the way."""

from collections.abc import Sequence
from typing import Any, Final

from ...entry import Entry, KeyInfo
from ...errors import InputError, KeyTooLong
from ...operations import List, Operation
from .session import Value

KEY_BYTES: Final = 2048
NAMESPACE_BYTES: Final = 255

Place = tuple[bytes, bytes]
"""Where an entry is: its namespace and key."""


def place(operation: Operation) -> Place:
    """Where the operation's entry is. Raises `InputError` for what no row can have."""
    key = operation.key.encode()
    if len(key) > KEY_BYTES:
        raise KeyTooLong(f"The key has {len(key):,} bytes; the database keeps {KEY_BYTES:,}")
    return namespace(operation), key


def namespace(operation: Operation | List) -> bytes:
    """The operation's namespace. Raises `InputError` for one that no row can have."""
    given = operation.namespace.encode()
    if len(given) > NAMESPACE_BYTES or b"\0" in given:
        raise InputError(
            f"The namespace has {len(given)} bytes; expected at most {NAMESPACE_BYTES}, and no NUL"
        )
    return given


def columns_of(entry: Entry) -> Sequence[Value]:
    """The columns of an entry, as `statements.COLUMNS` has them."""
    return (
        entry.version.encode(),
        entry.metadata,
        entry.value if entry.is_json else None,
        None if entry.is_json else entry.value,
        entry.expires_at,
    )


def entry_of(key: str, row: Sequence[Any]) -> Entry | bool:
    """The entry in a row, as `Statements.get` has it; `False` where its value was left out."""
    version, expires_at, metadata, value, other = row
    if value is None and other is None:
        return False
    return Entry(
        key=key,
        value=other if value is None else value,
        is_json=value is not None,
        version=version.decode(),
        expires_at=expires_at,
        metadata=metadata,
    )


def key_info(row: Sequence[Any]) -> KeyInfo:
    """What a listing says of a row."""
    key, version, expires_at, metadata = row
    return KeyInfo(
        key=key.decode(), version=version.decode(), expires_at=expires_at, metadata=metadata
    )
