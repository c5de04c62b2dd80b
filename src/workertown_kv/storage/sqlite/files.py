"""Watch over the files of a database: whether they were replaced, and whether they have space."""

import ctypes
import errno
import logging
import mmap
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from ...errors import StorageFailure, StorageUnavailable
from .failures import no_space

RESERVE_BYTES: Final = 4 * 1024 * 1024
"""The space reserved for the write-ahead log, so that entries can be deleted on a full disk."""

GROWTH_BYTES: Final = 256 * 1024
"""The file grows by this size at a time."""

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


class _Opened(NamedTuple):
    """Hold the descriptors of a file and of its log, and the start of the index of the log."""

    main: int
    log: int
    start: mmap.mmap


class _Descriptors:
    """Share the descriptors of a database among the storages of this process.

    Closing any descriptor of a file, such as that of a map, releases all locks of the process on
    the file, including those of other storages. So the descriptors are closed with the last one.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._storages: Counter[str] = Counter()
        self._opened: defaultdict[str, dict[object, _Opened]] = defaultdict(dict)
        self._closing: defaultdict[str, ExitStack] = defaultdict(ExitStack)

    def enter(self, database: str) -> None:
        """Count a storage, before it connects."""
        with self._lock:
            self._storages[database] += 1

    def open(self, database: str, paths: Iterable[Path], identities: object) -> _Opened:
        """Return the descriptors, which are new if the files are."""
        with self._lock:
            opened, closing = self._opened[database], self._closing[database]
            if identities not in opened:
                descriptors = []
                for path, mode in zip(paths, (os.O_RDWR, os.O_RDWR, os.O_RDONLY), strict=True):
                    descriptors.append(os.open(path, mode | os.O_CLOEXEC))
                    closing.callback(os.close, descriptors[-1])
                main, log, index = descriptors
                start = closing.enter_context(
                    mmap.mmap(index, INDEX_BYTES, access=mmap.ACCESS_READ)
                )
                opened[identities] = _Opened(main, log, start)
            return opened[identities]

    def leave(self, database: str) -> None:
        """Count a storage no longer, after its last connection is closed."""
        with self._lock:
            self._storages[database] -= 1
            if not self._storages[database]:
                del self._storages[database]
                self._opened.pop(database, None)
                self._closing.pop(database, ExitStack()).close()


_DESCRIPTORS: Final = _Descriptors()


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
        _DESCRIPTORS.enter(self._real)
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
        self._opened = [_identity(found) for found in map(_stat, self._paths)]
        opened = _DESCRIPTORS.open(self._real, self._paths, tuple(self._opened))
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
            _DESCRIPTORS.leave(self._real)

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
            _allocate(self._log_descriptor, RESERVE_BYTES, _KEEP_SIZE)
            self._reserved_bytes = RESERVE_BYTES

    def grow(self, size: int) -> None:
        """Reserve this many bytes for the file. Raises `StorageUnavailable` if the disk is full.

        Then the log can always be written into the file, which empties the log.
        """
        if size > self._main_bytes and self._descriptor is not None:
            size += -size % GROWTH_BYTES
            is_known = _moment(_stat(self.path)) == self._written
            _allocate(self._descriptor, size)
            self._main_bytes = size
            if is_known:
                self.note_written()

    def warnings(self) -> list[str]:
        """Return warnings about the file system of the files, for the operator."""
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


def _fallocate_of_system() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    # On 32-bit machines, glibc's `fallocate` takes sizes of 32 bits; musl has no other function.
    return getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)


_fallocate: Final = _fallocate_of_system()


def _allocate(descriptor: int, size: int, mode: int = 0) -> None:
    """Reserve disk space for a file, if the system can do that without writing.

    `os.posix_fallocate` would write if the file system cannot, while other processes write too.
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
    """Return the type of the file system of a file, or no text if Linux does not say."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    for mount in mounts:
        details, _, kind = mount.partition(" - ")
        if details.split()[2] == number:
            return kind.split()[0]
    return ""
