"""Watch over the files of a database: whether they were replaced, and whether they have space."""

import logging
import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from ...errors import StorageFailure, StorageUnavailable
from .descriptors import DESCRIPTORS
from .disk import allocate, network_of

RESERVE_BYTES: Final = 4 * 1024 * 1024
"""The space reserved for the write-ahead log, so that entries can be deleted on a full disk."""

GROWTH_BYTES: Final = 256 * 1024
"""The file grows by this size at a time."""

_LOG: Final = logging.getLogger("workertown_kv")


class Files:
    """The file at `path`, its write-ahead log and the index of that log, while they are in use.

    SQLite continues to use files that were removed, and everything written to them is lost.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # If the path is a link, SQLite keeps the other files beside the target of the link.
        self._real = os.path.realpath(path)
        self.log_path = Path(f"{self._real}-wal")
        self._paths = (path, self.log_path, Path(f"{self._real}-shm"))
        # After each commit, `os.stat` of text takes a third less time than that of a `Path`.
        self._names = tuple(map(os.fspath, self._paths))
        # Before any connection is opened, and until all are closed.
        DESCRIPTORS.enter(self._real)
        self._is_used = True
        self.are_lost = False
        self._overwritten: Path | None = None
        self._log_has_header = False
        self.log_bytes = 0
        self._opened: list[tuple[int, int] | None] = []
        self._descriptor: int | None = None
        self._log_descriptor: int | None = None
        self._main_bytes = 0
        self._reserved_bytes = 0

    @property
    def main_bytes(self) -> int:
        """The size of the file."""
        return self._main_bytes

    def open(self) -> mmap.mmap:
        """Note which files exist. Every connection must have read before.

        Returns the start of the index of the log, as all processes that use the file share it.
        """
        identities = [_identity(found) for found in map(_stat, self._paths)]
        opened = DESCRIPTORS.open(self._real, self._paths, tuple(identities))
        self._opened = identities
        self._descriptor, self._log_descriptor = opened.main, opened.log
        self.are_lost = False
        self._overwritten = None
        self._log_has_header = False
        self.note_written()
        self.check()
        with suppress(StorageUnavailable):
            self.reserve()
        return opened.start

    def close(self) -> None:
        """Stop the use of the files. Every connection must be closed before."""
        self._descriptor = self._log_descriptor = None
        if self._is_used:
            self._is_used = False
            DESCRIPTORS.leave(self._real)

    def check(self) -> None:
        """Raise `StorageUnavailable` if a file is no longer the file that was opened."""
        main, log, _ = found = [_stat(name) for name in self._names]
        for path, status, opened in zip(self._paths, found, self._opened, strict=True):
            if _identity(status) != opened:
                self._log_loss(path, "removed or replaced")
                raise StorageUnavailable(
                    f"{path.name}, a file of the database, was removed or replaced",
                    StorageFailure.REMOVED,
                )
        overwritten = self._find_overwritten()
        if overwritten is not None:
            self._log_loss(overwritten, "overwritten or cut")
            raise StorageUnavailable(
                f"{overwritten.name}, a file of the database, was overwritten or cut",
                StorageFailure.REMOVED,
            )
        self.are_lost = False
        self._main_bytes = main.st_size if main else 0
        self.log_bytes = log.st_size if log else 0
        self._reserved_bytes = log.st_blocks * 512 if log else 0

    def note_written(self) -> None:
        """Note the state of the file that this process has just written."""
        self._written = _moment(_stat(self.path))
        self._header = self._read_header()

    def may_be_completed(self) -> bool:
        """Return whether the log belongs to the file, even if the log was removed.

        It does not if another program than a server has written the file, for example if a backup
        was copied over it, or if another log already exists.
        """
        if not self._opened:  # the opening failed: there is nothing to compare with
            return True
        if self._find_overwritten() is not None:
            return False
        try:
            self.check()
        except StorageUnavailable:
            main, *companions = map(_stat, self._paths)
            opened, *companions_opened = self._opened
            return (
                _identity(main) == opened
                and (_moment(main) == self._written or self._is_continued())
                and all(
                    status is None or _identity(status) == before
                    for status, before in zip(companions, companions_opened, strict=True)
                )
            )
        return True

    def _find_overwritten(self) -> Path | None:
        """Return the file whose header another program than SQLite has written.

        Copying over a file, or cutting it, does not replace the file by another.
        """
        if self._overwritten is None and self._descriptor is not None:
            mode, _, count, _ = self._read_header()
            mode_before, _, count_before, _ = self._header
            if mode != mode_before or count < count_before:
                self._overwritten = self.path
            elif self._log_descriptor is not None:
                header = os.pread(self._log_descriptor, 4, 0)  # no bytes if the log is empty
                if any(header):
                    self._log_has_header = True
                elif header and self._log_has_header:
                    self._overwritten = self.log_path
        return self._overwritten

    def _is_continued(self) -> bool:
        """Return whether another server may have written the file since its state was noted.

        Servers only increase the count of writes, keep the schema and the write-ahead log, and
        never cut the file without counting that as a write.
        """
        mode, schema, count, size = self._read_header()
        mode_before, schema_before, count_before, size_before = self._header
        return (mode, schema) == (mode_before, schema_before) and (
            count > count_before or (count == count_before and size >= size_before)
        )

    def _read_header(self) -> tuple[bytes, bytes, int, int]:
        """Return the journal mode, the version of the schema, the count of writes and the size.

        The first three are at fixed offsets of the file (sqlite.org/fileformat.html).
        """
        if self._descriptor is None:
            return b"", b"", 0, 0
        header = os.pread(self._descriptor, 100, 0)
        size = os.fstat(self._descriptor).st_size
        return header[18:20], header[40:44], int.from_bytes(header[24:28], "big"), size

    def reserve(self) -> None:
        """Reserve space for the log. Raises `StorageUnavailable` if the disk is full."""
        if self._reserved_bytes >= RESERVE_BYTES:
            return
        if self._log_descriptor is not None:
            allocate(self._log_descriptor, RESERVE_BYTES, keeps_size=True)
            self._reserved_bytes = RESERVE_BYTES

    def grow(self, size: int) -> None:
        """Reserve this many bytes for the file. Raises `StorageUnavailable` if the disk is full.

        Then the log can always be written into the file, which empties the log.
        """
        if size > self._main_bytes and self._descriptor is not None:
            size += -size % GROWTH_BYTES
            is_known = _moment(_stat(self.path)) == self._written
            allocate(self._descriptor, size)
            self._main_bytes = size
            if is_known:
                self.note_written()

    def warnings(self) -> list[str]:
        """Return warnings about the file system of the files, for the operator."""
        found = []
        network = network_of(self.path)
        if network is not None:
            found.append(
                f"{self.path} is on a network file system ({network}), where SQLite can lose or "
                "damage entries; move it to a disk of this machine"
            )
        space = os.statvfs(self.path)
        free = space.f_bavail * space.f_frsize
        if free < 16 * RESERVE_BYTES:
            found.append(
                f"Only {free // 1_000_000:,} MB are left on the disk of {self.path}; make space "
                "before writes fail"
            )
        return found

    def _log_loss(self, path: Path, event: str) -> None:
        if not self.are_lost:
            self.are_lost = True
            _LOG.error(
                "%s was %s while the server uses it. Nothing is written any more; restart it",
                path,
                event,
            )


def _stat(path: str | Path) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116  (sooner than by a `Path`)
    except OSError:
        return None


def _identity(found: os.stat_result | None) -> tuple[int, int] | None:
    return None if found is None else (found.st_dev, found.st_ino)


def _moment(found: os.stat_result | None) -> tuple[int, int] | None:
    return None if found is None else (found.st_mtime_ns, found.st_size)
