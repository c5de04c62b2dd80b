"""Keep the descriptors of the files of databases, which all storages of a process share."""

import mmap
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

INDEX_BYTES: Final = 96
"""The size of what is read of the index of the log: both copies of its head."""


class Opened(NamedTuple):
    """Hold the descriptors of a file and of its log, and the start of the index of the log."""

    main: int
    log: int
    start: mmap.mmap


class Descriptors:
    """Share the descriptors of a database among the storages of this process.

    Closing any descriptor of a file, such as that of a map, releases all locks of the process on
    the file, including those of other storages. So the descriptors are closed with the last one.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._storages: Counter[str] = Counter()
        self._opened: defaultdict[str, dict[object, Opened]] = defaultdict(dict)
        self._closing: defaultdict[str, ExitStack] = defaultdict(ExitStack)

    def enter(self, database: str) -> None:
        """Count a storage, before it connects."""
        with self._lock:
            self._storages[database] += 1

    def open(self, database: str, paths: Iterable[Path], identities: object) -> Opened:
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
                opened[identities] = Opened(main, log, start)
            return opened[identities]

    def leave(self, database: str) -> None:
        """Stop counting a storage, after its last connection is closed."""
        with self._lock:
            self._storages[database] -= 1
            if not self._storages[database]:
                del self._storages[database]
                self._opened.pop(database, None)
                self._closing.pop(database, ExitStack()).close()


DESCRIPTORS: Final = Descriptors()
