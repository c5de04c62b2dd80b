"""Encode the records of changes, which writes put into slots."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ...entry import Entry
from ...operations import Change, Event, Set

_NO_METADATA: Final = msgspec.Raw()


class _Change(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    event: Event
    namespace: str
    key: str
    version: str | None = None
    expires_at: float | None = None
    metadata: msgspec.Raw = _NO_METADATA


class Record(msgspec.Struct, frozen=True):
    """The changes that a write made, and its time."""

    at: float
    changes: list[_Change]

    def read(self) -> list[Change]:
        """Return the changes, in order."""
        return [
            Change(
                event=one.event,
                namespace=one.namespace,
                key=one.key,
                version=one.version,
                expires_at=one.expires_at,
                metadata=bytes(one.metadata) or None,
            )
            for one in self.changes
        ]


BEGINNING: Final = b'{"at":0,"changes":[]}'
"""A record without a change, with which a log begins."""


def encoded(at: float, changes: Sequence[Change]) -> bytes:
    """Encode changes as JSON."""
    items = [
        _Change(
            event=one.event,
            namespace=one.namespace,
            key=one.key,
            version=one.version,
            expires_at=one.expires_at,
            metadata=msgspec.Raw(one.metadata) if one.metadata else _NO_METADATA,
        )
        for one in changes
    ]
    return msgspec.json.encode(Record(at, items))


def decoded(record: bytes) -> Record:
    """Decode a record."""
    return msgspec.json.decode(record, type=Record)


def set_change(
    namespace: str, entry: Set | Entry, version: str, event: Event = Event.SET
) -> Change:
    """Return the change that an entry was set, or touched."""
    return Change(
        event=event,
        namespace=namespace,
        key=entry.key,
        version=version,
        expires_at=entry.expires_at,
        metadata=entry.metadata,
    )


def gone_change(event: Event, namespace: str, key: str, version: str | None = None) -> Change:
    """Return the change that an entry was deleted, or expired."""
    return Change(event=event, namespace=namespace, key=key, version=version)
