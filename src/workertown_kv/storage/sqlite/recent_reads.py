"""Keep the entries that were read since the last write: most reads then need no locks of the file.

A read from the file takes three locks. Finding out whether anything was written takes none: each
commit of any process changes the header of the index of the write-ahead log, and all processes
share this index in memory (sqlite.org/walformat.html#the_wal_index_file_format).
"""

import mmap
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


class RecentReads:
    """Reads entries through `table`, and keeps them until the next write."""

    def __init__(self, table: EntryTable, index: mmap.mmap, value_bytes: int, clock: Clock) -> None:
        self._table = table
        self._index = index
        self._value_bytes = value_bytes
        self._clock = clock
        self._entries: dict[tuple[str, str], Entry | None] = {}
        self._bytes = 0
        self._header = b""

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
                self._entries.clear()
                self._bytes = 0
                self._header = header
            self._keep(key, found)
        return found

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
