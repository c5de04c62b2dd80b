"""Convert between entries and rows. Text in rows is bytes, so that no value is decoded."""

from collections.abc import Sequence
from typing import Any, Final

from ...entry import Entry, KeyInfo
from ...errors import InputError, KeyTooLong
from ...operations import Operation
from ..contract import Figures
from ..snapshot import EntryKey

KEY_BYTES: Final = 2048
NAMESPACE_BYTES: Final = 255


def checked_key(operation: Operation) -> EntryKey:
    """Return the entry key of an operation. Raises `InputError` if no row can have the key."""
    size = len(operation.key.encode())
    if size > KEY_BYTES:
        raise KeyTooLong(f"The key has {size:,} bytes; the database keeps {KEY_BYTES:,}")
    return checked_namespace(operation.namespace), operation.key


def checked_namespace(given: str) -> str:
    """Return a namespace. Raises `InputError` if no row can have it."""
    size = len(given.encode())
    if size > NAMESPACE_BYTES or "\0" in given:
        raise InputError(
            f"The namespace has {size} bytes; expected at most {NAMESPACE_BYTES}, and no NUL"
        )
    return given


def entry_of(key: str, row: Sequence[Any]) -> Entry | bool:
    """Return the entry in a row, `False` if its value was left out."""
    version, expires_at, metadata, value, is_json = row
    if value is None:
        return False
    return Entry(
        key=key,
        value=value,
        is_json=is_json == 1,
        version=version.decode(),
        expires_at=expires_at,
        metadata=metadata,
    )


def keys_of(rows: Sequence[Sequence[Any]]) -> list[KeyInfo]:
    """Return the items of a listing from its rows."""
    return [
        KeyInfo(
            key=key.decode(), version=version.decode(), expires_at=expires_at, metadata=metadata
        )
        for key, version, expires_at, metadata in rows
    ]


def figures_of(rows: Sequence[Sequence[Any]]) -> Sequence[Figures]:
    """Return the figures in rows that `figures` selects."""
    return [
        Figures(
            namespace.decode() if isinstance(namespace, bytes) else namespace,
            entries,
            value_bytes,
            kept - entries,
        )
        for namespace, entries, value_bytes, kept in rows
    ]
