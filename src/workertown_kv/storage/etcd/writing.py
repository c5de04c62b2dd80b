"""Make the operations of etcd that write entries, their expiries and their changes."""

from collections.abc import Sequence

from msgspec import structs

from ...entry import Entry
from ...operations import Change, Delete, Event, Set, Touch
from .layout import Layout, Stored, value_of
from .messages import (
    Message,
    delete,
    inside,
    is_value,
    put,
    txn,
)
from .records import encoded, gone_change, set_change

Write = Set | Delete | Touch


class Writing:
    """Makes the operations of writes at a time."""

    def __init__(self, layout: Layout, now: float, *, records: bool) -> None:
        self._layout = layout
        self._now = now
        self._records = records

    def record(self, slot: int, changes: Sequence[Change]) -> list[Message]:
        """Record changes, if changes are recorded."""
        return [put(self._layout.slot(slot), encoded(self._now, changes))] if self._records else []

    def entry(self, name: bytes, entry: Set | Entry, version: str, **more: bool) -> list[Message]:
        """Write an entry, and its expiry if it has one."""
        writes = [put(name, value_of(entry, version), **more)]
        if entry.expires_at is not None:
            layout = self._layout
            expiry = layout.expiry(layout.expiring, name, entry.expires_at)
            writes.append(put(expiry, version.encode()))
        return writes

    def replacing(
        self, slot: int, old: Stored | None, name: bytes, expires_at: float | None, change: Change
    ) -> list[Message]:
        """Record a change of an entry, and remove the expiry of the old entry.

        If the old entry has expired, this records its expiry as well, unless it is recorded.
        """
        record = self.record(slot, [change])
        before = None if old is None else old.entry.expires_at
        if old is None or before is None:
            return record
        layout, entry = self._layout, old.entry
        old_expiry = layout.expiry(layout.expiring, name, before)
        # The new entry may have the same expiry, whose version is another then.
        removes = [] if expires_at == before else [delete(old_expiry)]
        if entry.is_alive(self._now):
            return [*record, *removes]
        expiry = gone_change(Event.EXPIRE, change.namespace, change.key, entry.version)
        return [
            inside(
                txn(
                    [is_value(old_expiry, entry.version.encode())],
                    [*removes, *self.record(slot, [expiry, change])],
                    record,
                )
            )
        ]

    def replace(
        self, slot: int, operation: Write, old: Stored | None, version: str
    ) -> list[Message]:
        """Do a write that replaces the old entry, which still exists except for a set."""
        name, namespace = self._layout.of(operation), operation.namespace
        match operation:
            case Set():
                change = set_change(namespace, operation, version)
                expires_at = operation.expires_at
                return [
                    *self.entry(name, operation, version),
                    *self.replacing(slot, old, name, expires_at, change),
                ]
            case Touch(expires_at=expires_at):
                assert old is not None
                entry = structs.replace(old.entry, expires_at=expires_at)
                change = set_change(namespace, entry, version, Event.TOUCH)
                return [
                    *self.entry(name, entry, version),
                    *self.replacing(slot, old, name, expires_at, change),
                ]
            case Delete(key=key):
                assert old is not None
                change = gone_change(Event.DELETE, namespace, key, old.entry.version)
                return [delete(name), *self.replacing(slot, old, name, None, change)]
