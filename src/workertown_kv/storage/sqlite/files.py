"""The files of a database: whether they are still those that were opened, and their space."""

import ctypes
import errno
import logging
import mmap
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from ...errors import StorageFailure, StorageUnavailable
from .failures import no_space

RESERVE_BYTES: Final = 4 * 1024 * 1024
"""The write-ahead log has at least this much of the disk, so that a full disk can be emptied."""

GROWTH_BYTES: Final = 256 * 1024
"""The file grows by steps of this size."""

INDEX_BYTES: Final = 96
"""The size of what is read of the index of the log: both copies of its head."""

_KEEP_SIZE: Final = 1
_NETWORKS: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "ceph",
        "lustre",
        "afs",
        "fuse.sshfs",
        "fuse.glusterfs",
    }
)

_LOG: Final = logging.getLogger("workertown_kv")


class Files:
    """The file at `path`, its write-ahead log and the index of that log, while they are in use.

    SQLite goes on with files that were removed, and all that is written to them is lost.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Where the path is a link, SQLite has the others beside the file that it leads to.
        real = os.path.realpath(path)
        self.log_path = Path(f"{real}-wal")
        self._paths = (path, self.log_path, Path(f"{real}-shm"))
        self.are_lost = False
        self._overwritten: Path | None = None
        self._log_has_head = False
        self.log_bytes = 0
        self._opened: list[tuple[int, int] | None] = []
        self._descriptor: int | None = None
        self._log_descriptor: int | None = None
        self._index_descriptor: int | None = None
        self._index: mmap.mmap | None = None
        self._main_bytes = 0
        self._reserved_bytes = 0

    def open(self) -> mmap.mmap:
        """Note which files there are. Every connection must have read before.

        Returns the start of the index of the log, as all processes that use the file share it.
        """
        self._opened = [_identity(found) for found in map(_stat, self._paths)]
        # SQLite's locks on the file would go if any descriptor of it was closed in this process.
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        self._log_descriptor = os.open(self.log_path, os.O_RDWR | os.O_CLOEXEC)
        self._index_descriptor = os.open(self._paths[2], os.O_RDONLY | os.O_CLOEXEC)
        self._index = index = mmap.mmap(
            self._index_descriptor, INDEX_BYTES, access=mmap.ACCESS_READ
        )
        self.are_lost = False
        self._overwritten = None
        self._log_has_head = False
        self.note_written()
        self.check()
        with suppress(StorageUnavailable):
            self.reserve()
        return index

    def close(self) -> None:
        """Let go of the file. Every connection must be closed already."""
        if self._index is not None:
            self._index.close()
            self._index = None
        for descriptor in (self._descriptor, self._log_descriptor, self._index_descriptor):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._log_descriptor = self._index_descriptor = None

    def check(self) -> None:
        """Raise `StorageUnavailable` where a file is no longer the one that was opened."""
        main, log, _ = found = [_stat(path) for path in self._paths]
        for path, one, opened in zip(self._paths, found, self._opened, strict=True):
            if _identity(one) != opened:
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
        """Remember the file as this process has just written it."""
        self._written = _moment(_stat(self.path))
        self._header = self._read_header()

    def may_be_completed(self) -> bool:
        """Tell whether what is in the log belongs into the file, though the log may be removed.

        It does not where something else than a server has written the file, such as a backup
        copied over it, or where there is another log already.
        """
        if self._find_overwritten() is not None:
            return False
        try:
            self.check()
        except StorageUnavailable:
            main, *companions = map(_stat, self._paths)
            opened, *companions_opened = self._opened
            return (
                _identity(main) == opened
                and (_moment(main) == self._written or self._has_gone_on())
                and all(
                    one is None or _identity(one) == before
                    for one, before in zip(companions, companions_opened, strict=True)
                )
            )
        return True

    def _find_overwritten(self) -> Path | None:
        """Return the file whose head something else than SQLite has written.

        A copy is put over a file in place, or cuts it, without making another file of it.
        """
        if self._overwritten is None and self._descriptor is not None:
            mode, _, count, _ = self._read_header()
            mode_before, _, count_before, _ = self._header
            if mode != mode_before or count < count_before:
                self._overwritten = self.path
            elif self._log_descriptor is not None:
                head = os.pread(self._log_descriptor, 4, 0)  # none where the log is empty
                if any(head):
                    self._log_has_head = True
                elif head and self._log_has_head:
                    self._overwritten = self.log_path
        return self._overwritten

    def _has_gone_on(self) -> bool:
        """Tell whether the file may be what another server has made of the one noted.

        Servers only count up, keep the schema and the write-ahead log, and cut nothing off that
        they have not counted.
        """
        mode, schema, count, size = self._read_header()
        mode_before, schema_before, count_before, size_before = self._header
        return (mode, schema) == (mode_before, schema_before) and (
            count > count_before or (count == count_before and size >= size_before)
        )

    def _read_header(self) -> tuple[bytes, bytes, int, int]:
        """Return the mode of the log, the version of the schema, a count of writes and the size.

        They are at fixed places in the file (sqlite.org/fileformat.html).
        """
        if self._descriptor is None:
            return b"", b"", 0, 0
        header = os.pread(self._descriptor, 100, 0)
        size = os.fstat(self._descriptor).st_size
        return header[18:20], header[40:44], int.from_bytes(header[24:28], "big"), size

    def reserve(self) -> None:
        """Keep space for the log. Raises `StorageUnavailable` where there is none."""
        if self._reserved_bytes >= RESERVE_BYTES:
            return
        if self._log_descriptor is not None:
            _allocate(self._log_descriptor, RESERVE_BYTES, _KEEP_SIZE)
            self._reserved_bytes = RESERVE_BYTES

    def grow(self, size: int) -> None:
        """Give the file this many bytes of the disk. Raises `StorageUnavailable` without space.

        What is in the log can always be written into the file then, which empties the log.
        """
        if size > self._main_bytes and self._descriptor is not None:
            size += -size % GROWTH_BYTES
            is_known = _moment(_stat(self.path)) == self._written
            _allocate(self._descriptor, size)
            self._main_bytes = size
            if is_known:
                self.note_written()

    def warnings(self) -> list[str]:
        """Return what an operator should know of where the files are."""
        found = []
        kind = _file_system(self.path)
        if kind in _NETWORKS:
            found.append(
                f"{self.path} is on a network file system ({kind}), where SQLite can lose or "
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

    def _log_loss(self, path: Path, what: str) -> None:
        if not self.are_lost:
            self.are_lost = True
            _LOG.error(
                "%s was %s while the server uses it. Nothing is written any more: restart the "
                "server",
                path,
                what,
            )


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _identity(found: os.stat_result | None) -> tuple[int, int] | None:
    return None if found is None else (found.st_dev, found.st_ino)


def _moment(found: os.stat_result | None) -> tuple[int, int] | None:
    return None if found is None else (found.st_mtime_ns, found.st_size)


def _fallocate_of_system() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    # In glibc, sizes of `fallocate` have 32 bits on machines with 32 bits; musl has only that name.
    return getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)


_fallocate: Final = _fallocate_of_system()


def _allocate(descriptor: int, size: int, mode: int = 0) -> None:
    """Give a file space of the disk where the system can do that without writing anything.

    `os.posix_fallocate` writes where the file system cannot, and others write these files too.
    """
    if _fallocate is None:
        return
    while _fallocate(descriptor, mode, ctypes.c_int64(0), ctypes.c_int64(size)) != 0:
        match ctypes.get_errno():
            case errno.EINTR:
                continue
            case errno.ENOSPC | errno.EDQUOT:
                raise no_space()
        return


def _file_system(path: Path) -> str:
    """Return the type of file system a file is on, where Linux says so."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    for mount in mounts:
        place, _, kind = mount.partition(" - ")
        if place.split()[2] == number:
            return kind.split()[0]
    return ""
