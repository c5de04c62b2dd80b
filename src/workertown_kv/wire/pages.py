"""Decode pages of listings, deletions and changes."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ..entry import KeyInfo
from ..operations import Change, ChangePage, Deletion, Event, List, Page
from .cursors import decode_cursor, kind_of_listing
from .entries import Fields, expiry_in, metadata_in


class _Keys(msgspec.Struct, gc=False):
    keys: Sequence[Fields]
    cursor: str | None
    prefixes: Sequence[str] = ()


class _Deleted(msgspec.Struct, gc=False):
    deleted: int
    cursor: str | None


class _Change(msgspec.Struct, gc=False):
    event: Event
    key: str = ""
    prefix: str = ""
    namespace: str = ""
    version: str | None = None
    expires_at: float | UnsetType = UNSET
    metadata: Raw | UnsetType = UNSET


class _Changes(msgspec.Struct, gc=False):
    changes: Sequence[_Change]
    cursor: str
    complete: bool


_KEYS: Final = msgspec.json.Decoder(_Keys)
_DELETED: Final = msgspec.json.Decoder(_Deleted)
_CHANGES: Final = msgspec.json.Decoder(_Changes)


def decode_page(operation: List, data: bytes, *, with_values: bool) -> Page:
    """Return a page of a listing. Raises `ValueError` for data of another form."""
    page = _KEYS.decode(data)
    kind = kind_of_listing(operation.is_reverse, operation.delimiter)
    return Page(
        [found.entry() if with_values else _info(found) for found in page.keys],
        None if page.cursor is None else decode_cursor(kind, page.cursor),
        tuple(page.prefixes),
    )


def decode_deletion(data: bytes) -> Deletion:
    """Return a deletion. Raises `ValueError` for data of another form."""
    page = _DELETED.decode(data)
    return Deletion(
        page.deleted, None if page.cursor is None else decode_cursor("delete", page.cursor)
    )


def decode_changes(data: bytes, namespace: str = "") -> ChangePage:
    """Return a page of changes. Raises `ValueError` for data of another form.

    Changes that do not name their namespace are in `namespace`.
    """
    page = _CHANGES.decode(data)
    changes = [_change(found, namespace) for found in page.changes]
    return ChangePage(changes, page.cursor, page.complete)


def _info(found: Fields) -> KeyInfo:
    return KeyInfo(
        key=found.key,
        version=found.version or "",
        expires_at=expiry_in(found.expires_at),
        metadata=metadata_in(found.metadata),
    )


def _change(found: _Change, namespace: str) -> Change:
    return Change(
        event=found.event,
        namespace=found.namespace or namespace,
        key=found.prefix if found.event is Event.DELETE_PREFIX else found.key,
        version=found.version,
        expires_at=expiry_in(found.expires_at),
        metadata=metadata_in(found.metadata),
    )
