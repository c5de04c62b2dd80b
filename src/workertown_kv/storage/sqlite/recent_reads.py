"""Keep the entries that were read: most reads then need no locks of the file.

A read from the file takes three locks. Finding out whether anything was written takes none: each
commit of any process changes the header of the index of the write-ahead log, and all processes
share this index in memory (sqlite.org/walformat.html#the_wal_index_file_format). A commit of this
process drops the keys that it wrote; a commit of another process drops everything.
"""

import mmap
import struct
from collections.abc import Iterable
from typing import Final

from ...entry import Entry
from ...operations import Get
from ..contract import Clock
from .table import EntryTable

MOST_BYTES: Final = 16 * 1024 * 1024
"""How much memory the kept entries of a process may take."""

_OVERHEAD_BYTES: Final = 600
"""About how much memory an entry takes besides its value, its key and its metadata."""

HEADER_BYTES: Final = 48
"""The size of the header: counters and checksums that change with each commit.

A commit writes two copies of it, the second copy first, so that a reader notices a header that is
only half written.
"""

_COUNT_AND_FRAMES: Final = struct.Struct("=8xI4xI")
"""In the header: the count of commits, and the number of frames in the log."""


class RecentReads:
    """Reads entries through `table`, and keeps them until they are written."""

    def __init__(self, table: EntryTable, index: mmap.mmap, value_bytes: int, clock: Clock) -> None:
        self._table = table
        self._index = index
        self._value_bytes = value_bytes
        self._clock = clock
        self._entries: dict[tuple[str, str], Entry | None] = {}
        self._bytes = 0
        self._header = b""
        """The state of the file that the kept entries have."""
        self._before: bytes | None = None
        """The header before the commit of this process that is under way."""

    def get(self, operation: Get) -> Entry | bool | None:
        """Return the entry, or `False` if its value is too long to be read here."""
        key = (operation.namespace, operation.key)
        header = self._index[:HEADER_BYTES]
        if header == self._header and key in self._entries:
            entry = self._entries[key]
            if entry is None or entry.expires_at is None or entry.expires_at > self._clock():
                return entry
            return None
        found = self._table.get_up_to(operation, self._value_bytes)
        # The entry is of the state of this header only if the header is still the same, and whole.
        if not isinstance(found, bool) and self._index[: 2 * HEADER_BYTES] == header + header:
            if header != self._header:
                if self._before is not None:
                    return found  # `end_commit` decides whether the kept entries stay
                self._entries.clear()
                self._bytes = 0
                self._header = header
            self._keep(key, found)
        return found

    def begin_commit(self) -> None:
        """Note the state of the file before a commit. The caller holds the lock for writing."""
        self._before = self._index[:HEADER_BYTES]

    def end_commit(self, keys: Iterable[tuple[str, str]] | None, frames: int = 0) -> None:
        """Drop these keys after a commit, which may have failed: `None`.

        `frames` is how many frames the log had after the commit. If another process has written
        since, the next read drops all entries.
        """
        before, self._before = self._before, None
        if keys is None or before is None or before != self._header:
            return
        header = self._index[:HEADER_BYTES]
        count, _ = _COUNT_AND_FRAMES.unpack_from(before)
        is_next = _COUNT_AND_FRAMES.unpack_from(header) == ((count + 1) % 2**32, frames)
        if not is_next or self._index[: 2 * HEADER_BYTES] != header + header:
            return
        self._header = header
        for key in keys:
            if key in self._entries:
                self._bytes -= _size(key, self._entries.pop(key))

    def _keep(self, key: tuple[str, str], entry: Entry | None) -> None:
        self._entries[key] = entry
        self._bytes += _size(key, entry)
        while self._bytes > MOST_BYTES:
            oldest = next(iter(self._entries))
            self._bytes -= _size(oldest, self._entries.pop(oldest))


def _size(key: tuple[str, str], entry: Entry | None) -> int:
    size = _OVERHEAD_BYTES + 4 * len(key[1])
    if entry is None:
        return size
    return size + len(entry.value) + (len(entry.metadata) if entry.metadata else 0)
