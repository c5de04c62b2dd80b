"""Define the names and the values of the keys in etcd: docs/storages/etcd.md describes them."""

from typing import Final
from urllib.parse import quote, unquote

import msgspec

from ...entry import Entry, KeyInfo
from ...operations import Operation, Record, Set
from ..listing import KeyRange

_NEVER: Final = b"never"
"""The expiry of an entry that does not expire. It sorts after all times."""
_KINDS: Final = {True: b"json", False: b"bytes"}


class Layout:
    """The names of the keys under a prefix."""

    def __init__(self, prefix: str) -> None:
        self._entries = f"{prefix}/entry/".encode()
        self.changes = f"{prefix}/change/".encode()
        """The beginning of the names of the slots in which writes record their changes."""
        self.expiring = f"{prefix}/expiring/".encode()
        """The beginning of the names of the expiries that are not recorded as changes yet."""
        self.expired = f"{prefix}/expired/".encode()
        """The beginning of the names of the expiries that are recorded."""

    def entry(self, namespace: str, key: str) -> bytes:
        """Return the name of an entry."""
        return self.namespace(namespace) + key.encode()

    def of(self, operation: Operation | Record) -> bytes:
        """Return the name of the entry of an operation."""
        return self.namespace(operation.namespace) + operation.key.encode()

    def namespace(self, namespace: str) -> bytes:
        """Return the beginning of the names of the entries in a namespace."""
        return b"%s%s/" % (self._entries, quote(namespace, safe="").encode())

    def span(self, namespace: str, keys: KeyRange) -> tuple[bytes, bytes]:
        """Return the first name of a range of entries, and the name after its last."""
        beginning = self.namespace(namespace)
        start = beginning + keys.start.encode() + (b"\0" if keys.is_after_start else b"")
        return start, end_of(beginning) if keys.end is None else beginning + keys.end.encode()

    def slot(self, number: int) -> bytes:
        """Return the name of a slot for changes."""
        return b"%s%03d" % (self.changes, number)

    def expiry(self, area: bytes, entry: bytes, expires_at: float) -> bytes:
        """Return the name of the expiry of an entry."""
        return b"%s%s/%s" % (area, time_text(expires_at), entry.removeprefix(self._entries))

    def expiry_parts(self, area: bytes, name: bytes) -> tuple[float, bytes]:
        """Return the time in the name of an expiry, and the name of its entry."""
        time, _, rest = name.removeprefix(area).partition(b"/")
        return float(time), self._entries + rest

    def entry_parts(self, name: bytes) -> tuple[str, str]:
        """Return the namespace and the key in the name of an entry."""
        namespace, _, key = name.removeprefix(self._entries).partition(b"/")
        return unquote(namespace.decode()), key.decode()


def end_of(beginning: bytes) -> bytes:
    """Return the first name after all names with this beginning, which ends with a slash."""
    return beginning[:-1] + b"0"


def time_text(time: float) -> bytes:
    """Return a time as text that sorts as the time does, and from which it can be read exactly."""
    return b"%022.9f" % time


def up_to(now: float) -> bytes:
    """Return what the values of the entries that have expired at a time sort before."""
    return time_text(now) + b"~"


class Stored(msgspec.Struct, frozen=True):
    """An entry in etcd, and the revision at which it was written last."""

    entry: Entry
    revision: int


def value_of(entry: Set | Entry, version: str) -> bytes:
    """Return the value under which etcd keeps an entry."""
    return b"%s%s%s\n%s" % (
        header(entry.expires_at, version),
        _KINDS[entry.is_json],
        b"" if entry.metadata is None else b" " + entry.metadata,
        entry.value,
    )


def header(expires_at: float | None, version: str) -> bytes:
    """Return the beginning of the value of an entry with an expiry and a version."""
    time = _NEVER if expires_at is None else time_text(expires_at)
    return b"%s %s " % (time, version.encode())


def parsed_info(key: str, value: bytes) -> KeyInfo:
    """Return what a value says about its entry, without the value of the entry."""
    line = value[: value.index(b"\n")]
    time, version, _, *metadata = line.split(b" ", 3)
    return KeyInfo(
        key=key,
        metadata=metadata[0] if metadata else None,
        expires_at=None if time == _NEVER else float(time),
        version=version.decode(),
    )


def parsed_entry(key: str, value: bytes) -> Entry:
    """Return the entry that a value describes."""
    line, _, content = value.partition(b"\n")
    time, version, kind, *metadata = line.split(b" ", 3)
    return Entry(
        key=key,
        value=content,
        is_json=kind == _KINDS[True],
        metadata=metadata[0] if metadata else None,
        expires_at=None if time == _NEVER else float(time),
        version=version.decode(),
    )
