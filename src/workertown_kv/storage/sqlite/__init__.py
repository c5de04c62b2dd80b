"""Entries in one SQLite file: the embedded default.

The file is in WAL mode with `synchronous=FULL`, so an acknowledged write survives a loss of
power; reads never wait for writes, and several processes may share the file. Small values are
read where they are asked for, on the event loop, because that costs less than handing them to a
thread; everything that may take longer goes aside.

The driver is apsw, because it brings a current SQLite. Those before 3.51.3 can corrupt a file
in WAL mode that several connections write (sqlite.org/wal.html#walresetbug).
"""

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar, cast

import apsw
import msgspec

from ...entry import DEFAULT_NAMESPACE, Entry
from ...errors import OptionsError, StorageError, StorageUnavailable
from ...operations import Batch, Delete, Get, List, Page, Result, Set
from ..batch import run_batch
from ..contract import Clock, Migration, Storage
from ..group_commit import GroupCommit
from .schema import check_owner, migrate
from .table import EntryTable

__all__ = ["SqliteStorage"]

INLINE_BYTES: Final = 64 * 1024
"""Larger values are read aside, so that nobody waits for them."""

WAL_BYTES: Final = 64 * 1024 * 1024
"""A write-ahead log that has grown beyond this is cut back when it starts anew."""


class _Sweep(msgspec.Struct, frozen=True):
    limit: int


_Job = Set | Delete | Batch | _Sweep
_Outcome = str | int | Sequence[Result] | None
_T = TypeVar("_T")


class SqliteStorage(Storage):
    """Entries in the SQLite file at `path`, which is made where there is none.

    A write waits at most `busy_timeout_seconds` for other processes that write the same file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = "kv.sqlite",
        *,
        busy_timeout_seconds: float = 10,
        clock: Clock = time.time,
    ) -> None:
        super().__init__(clock=clock)
        if os.fspath(path) in ("", ":memory:"):
            raise OptionsError(f"{path!r} is no path; for memory, use memory://")
        self.path = Path(path)
        self._busy_timeout_seconds = busy_timeout_seconds
        self._opened = False
        self._connections: list[apsw.Connection] = []

    async def open(self) -> Sequence[Migration]:
        self._writing = ThreadPoolExecutor(1, "kv-sqlite-write")
        self._reading = ThreadPoolExecutor(1, "kv-sqlite-read")
        # Of its own, so that the health of the storage is known while large values are read.
        self._checking = ThreadPoolExecutor(1, "kv-sqlite-check")
        try:
            migrations = await self._in(self._writing, self._connect_all)
        except BaseException:
            self._writing.submit(self._disconnect_all)
            self._shut_down(wait=False)
            raise
        self._commits = GroupCommit(self._commit, self._writing)
        self._opened = True
        return migrations

    async def close(self) -> None:
        if not self._opened:
            return
        self._opened = False
        await self._commits.close()
        for executor in (self._reading, self._checking):
            await self._in(executor, lambda: None)  # all that was asked for has been read
        await self._in(self._writing, self._disconnect_all)
        self._shut_down()

    async def migrate(self, *, to: int | None = None) -> Sequence[Migration]:
        self._check_open()
        return await self._in(self._writing, lambda: self._migrate(to))

    async def check(self) -> None:
        self._check_open()
        await self._in(self._checking, self._check)

    async def get(self, operation: Get) -> Entry | None:
        self._check_open()
        try:
            entry = self._reader.get_up_to(operation, INLINE_BYTES)
        except apsw.BusyError:
            entry = False  # the event loop does not wait; the thread may
        except apsw.Error as error:
            raise self._translated(error) from error
        if isinstance(entry, bool):
            return await self._in(self._reading, lambda: self._aside.get(operation))
        return entry

    async def set(self, operation: Set) -> str:
        return cast("str", await self._submit(operation))

    async def delete(self, operation: Delete) -> None:
        await self._submit(operation)

    async def list(self, operation: List) -> Page:
        self._check_open()
        return await self._in(self._reading, lambda: self._aside.list(operation))

    async def batch(self, operation: Batch) -> Sequence[Result]:
        self._check_open()
        if all(isinstance(one, Get) for one in operation.operations):
            return await self._in(self._reading, lambda: self._read_batch(operation))
        return cast("Sequence[Result]", await self._submit(operation))

    async def sweep(self, limit: int) -> int:
        return cast("int", await self._submit(_Sweep(limit)))

    async def _submit(self, job: _Job) -> _Outcome:
        self._check_open()
        return await self._commits.submit(job, _size(job))

    def _shut_down(self, *, wait: bool = True) -> None:
        self._checking.shutdown(wait=wait)
        self._reading.shutdown(wait=wait)
        self._writing.shutdown(wait=wait)

    async def _in(self, executor: Executor, act: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, act)
        except apsw.Error as error:
            raise self._translated(error) from error

    def _check_open(self) -> None:
        if not self._opened:
            raise StorageUnavailable("The storage is closed")

    def _translated(self, error: apsw.Error) -> StorageError:
        match error:
            case apsw.BusyError() | apsw.LockedError():
                return StorageUnavailable("The database is busy: another process writes to it")
            case apsw.FullError():
                return StorageUnavailable("There is no space left for the database")
            case _:
                return StorageError(f"SQLite cannot use {self.path}: {error}")

    # What follows runs in the threads.

    def _connect_all(self) -> Sequence[Migration]:
        self._writer = self._connect()
        with _savepoint(self._writer.db):  # all that is read of the file is of one moment
            check_owner(self._writer.db)
        if self._writer.db.readonly("main"):
            raise StorageError(f"SQLite cannot use {self.path}: it may not be written")
        if self._writer.db.pragma("journal_mode", "WAL") != "wal":
            raise StorageError(f"SQLite cannot keep a write-ahead log beside {self.path}")
        self._writer.db.pragma("synchronous", "FULL")
        self._writer.db.pragma("fullfsync", True)  # asks macOS for what fsync means elsewhere
        self._writer.db.pragma("journal_size_limit", WAL_BYTES)
        migrations = self._migrate()
        self._file = self._identity()
        self._reader = self._connect(waits=False)
        self._aside = self._connect()
        self._checker = self._connect()
        return migrations

    def _check(self) -> None:
        self._check_file()
        self._checker.get(Get(DEFAULT_NAMESPACE, "health"))

    def _disconnect_all(self) -> None:
        while self._connections:
            self._connections.pop().close()

    def _connect(self, *, waits: bool = True) -> EntryTable:
        if not self.path.parent.is_dir():
            raise StorageError(f"There is no folder {self.path.parent} for the database")
        db = apsw.Connection(os.fspath(self.path))
        self._connections.append(db)
        waiting_since = 0.0

        def wait(tries: int) -> bool:
            # Short pauses of random length share the file more fairly among processes than
            # SQLite's own timeout, whose pauses grow to 100 ms.
            nonlocal waiting_since
            if tries == 0:
                waiting_since = time.monotonic()
            time.sleep(random.uniform(0.0002, 0.002))  # noqa: S311  (not cryptography)
            return time.monotonic() - waiting_since < self._busy_timeout_seconds

        if waits:
            db.set_busy_handler(wait)
        return EntryTable(db, self.clock)

    def _migrate(self, to: int | None = None) -> Sequence[Migration]:
        with self._transaction() as table:
            return migrate(table.db, to)

    def _commit(self, jobs: Sequence[_Job]) -> Sequence[_Outcome | Exception]:
        try:
            with self._transaction() as table:
                outcomes = [self._outcome(table, job) for job in jobs]
        except apsw.Error as error:
            raise self._translated(error) from error
        self._check_file()
        return outcomes

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _check_file(self) -> None:
        """Raise where the file is no longer the one that was opened.

        SQLite goes on with a file that was removed, and all that is written to it is lost.
        """
        if self._identity() != self._file:
            raise StorageUnavailable("The file of the database was removed or replaced")

    def _outcome(self, table: EntryTable, job: _Job) -> _Outcome | Exception:
        """What came of one job of a group; one that fails leaves no trace and fails alone."""
        try:
            match job:
                case Set():
                    return table.set(job)
                case Delete():
                    table.delete(job)
                    return None
                case Batch():
                    with _savepoint(table.db):
                        return run_batch(table, job)
                case _Sweep():
                    return table.sweep(job.limit)
        except apsw.Error:
            raise
        except Exception as error:  # noqa: BLE001  (it is raised again, where the job came from)
            return error

    def _read_batch(self, batch: Batch) -> Sequence[Result]:
        with _savepoint(self._aside.db):  # all gets see the same moment
            return run_batch(self._aside, batch)

    @contextmanager
    def _transaction(self) -> Iterator[EntryTable]:
        db = self._writer.db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield self._writer
            db.execute("COMMIT")
        except BaseException:
            # Some failures of the engine have ended the transaction already.
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _size(job: _Job) -> int:
    match job:
        case Set():
            return len(job.value)
        case Batch():
            return sum(len(one.value) for one in job.operations if isinstance(one, Set))
    return 0


@contextmanager
def _savepoint(db: apsw.Connection) -> Iterator[None]:
    db.execute("SAVEPOINT batch")
    try:
        yield
    except BaseException:
        # Some failures of the engine have ended the transaction already, and this with it.
        if db.in_transaction:
            db.execute("ROLLBACK TO batch")
            db.execute("RELEASE batch")
        raise
    db.execute("RELEASE batch")
