"""Keep entries in one SQLite file: the embedded default.

The file is in WAL mode with `synchronous=FULL`, so an acknowledged write survives a loss of
power; reads never wait for writes, and several processes may share the file. Small values are
read and written directly on the event loop, because that costs less than handing them to a
thread; everything that may take longer runs in threads. Listings have their own thread, because a
listing may walk over many expired entries.

The driver is apsw, because it comes with a current SQLite. SQLite before 3.51.3 can corrupt a
file in WAL mode to which several connections write (sqlite.org/wal.html#walresetbug).
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, cast

import apsw

from ...entry import DEFAULT_NAMESPACE, Entry, KeyInfo
from ...errors import OptionsError, StorageError, StorageUnavailable
from ...meters.catalogue import FILE_BYTES, LOG_BYTES
from ...meters.metric import Measurement
from ...operations import (
    Batch,
    ChangePage,
    Delete,
    DeletePrefix,
    Deletion,
    Get,
    List,
    Page,
    ReadChanges,
    Result,
    Set,
    Touch,
    Update,
    Updated,
)
from ..batch import run_batch
from ..change_log import Waiting
from ..contract import Capability, Clock, Figures, Migration, Storage
from ..deletion import DeleteRange, Step, delete_in_steps
from ..group_meter import GroupMeter
from ..listing import KeyRange, list_page
from .change_log import read_changes
from .connection import Patience, connect, savepoint
from .failures import translated
from .files import Files
from .group_commit import MOST_BYTES, GroupCommit
from .jobs import Job, Outcome, Outcomes, Probe, RecordExpired, Short, Sweep, size_of
from .recent_reads import HEADER_BYTES, RecentReads
from .table import EntryTable
from .writer import Writer

INLINE_BYTES: Final = 64 * 1024
"""Larger values are read in a thread, so that no other request waits for them."""

WATCH_SECONDS: Final = 0.025
"""How often a task that waits for changes looks for writes of other processes."""

PROBE_SECONDS: Final = 1
"""How long a probe waits for its write; the next probe waits for the same write again."""

_T = TypeVar("_T")


class SqliteStorage(Storage):
    """Keeps entries in the SQLite file at `path`, which it makes if it does not exist.

    A write waits at most `busy_timeout_seconds` for other processes that write the same file.
    """

    needs_task = False

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
        self.file = self.path.absolute()
        self._busy_timeout_seconds = busy_timeout_seconds
        self._opened = False
        self._connections: list[apsw.Connection] = []
        self._undoing: Future[None] | None = None
        self._waiting = Waiting()
        self._groups = GroupMeter("writes")

    async def open(self) -> Sequence[Migration]:
        if self._undoing is not None:  # an opening that failed still closes its connections
            await asyncio.wait([asyncio.wrap_future(self._undoing)])
        self._files = Files(self.path)
        self._writer = Writer(self._files, self.clock, self._busy_timeout_seconds, self.retention)
        self._writing = ThreadPoolExecutor(1, "kv-sqlite-write")
        self._reading = ThreadPoolExecutor(1, "kv-sqlite-read")
        self._listing = ThreadPoolExecutor(1, "kv-sqlite-list")
        # Checks have their own thread, so that they do not wait while large values are read.
        self._checking = ThreadPoolExecutor(1, "kv-sqlite-check")
        try:
            migrations = await self._in(self._writing, self._connect_all)
        except BaseException:
            self._undoing = self._writing.submit(self._disconnect_all)
            self._shut_down(wait=False)
            raise
        self._commits = GroupCommit(
            self._start,
            self._writer.commit_now,
            self._writer.commit,
            self._confirm,
            self._writing,
            self._busy_timeout_seconds,
            self._groups,
        )
        self._probing: asyncio.Task[Outcome] | None = None
        self._probe_failure: StorageError | None = None
        self._opened = True
        return migrations

    async def close(self) -> None:
        if not self._opened:
            return
        self._opened = False
        self._waiting.wake()
        await self._commits.close()
        for executor in (self._reading, self._listing, self._checking):
            await self._in(executor, lambda: None)  # waits for the reads under way
        await self._in(self._writing, self._disconnect_all)
        self._shut_down()

    async def migrate(self, *, to: int | None = None) -> Sequence[Migration]:
        self._check_open()
        self._writer.is_in_use = True
        try:
            return await self._in(self._writing, lambda: self._writer.migrate(to))
        finally:
            self._writer.is_in_use = False

    async def check(self) -> None:
        self._check_open()
        await self._in(self._checking, self._check)

    async def probe(self) -> None:
        await self.check()
        if self._probing is None:
            self._probing = asyncio.create_task(self._submit(Probe()))
            self._probing_until = time.monotonic() + self._busy_timeout_seconds + PROBE_SECONDS
        probing = self._probing
        done, _ = await asyncio.wait([probing], timeout=PROBE_SECONDS)
        if done:
            self._probing = None
            failure = probing.exception()
            self._probe_failure = failure if isinstance(failure, StorageError) else None
            if failure is not None:
                raise failure
        elif self._probe_failure is not None:
            # Nothing has been written since the last failure.
            raise self._probe_failure.with_traceback(None)
        elif time.monotonic() > self._probing_until:
            raise StorageUnavailable(f"A write to {self.path} does not end")

    async def warnings(self) -> Sequence[str]:
        self._check_open()
        return await self._in(self._checking, self._files.warnings)

    async def figures(self) -> Sequence[Figures]:
        self._check_open()
        return await self._in(self._listing, self._lister.figures)

    def measurements(self) -> Iterator[Measurement]:
        if self._opened:
            yield from self._groups.measurements(self._commits.waiting)
            yield Measurement(FILE_BYTES, self._files.main_bytes)
            yield Measurement(LOG_BYTES, self._files.log_bytes)

    async def get(self, operation: Get) -> Entry | None:
        self._check_open()
        try:
            entry = self._reader.get(operation)
        except apsw.BusyError:
            entry = False  # the event loop must not wait for the lock, but the thread may
        except apsw.Error as error:
            raise self._translated(error) from error
        if isinstance(entry, bool):
            return await self._in(self._reading, lambda: self._patient_reader.get(operation))
        return entry

    async def set(self, operation: Set) -> str:
        return cast("str", await self._submit(operation))

    async def delete(self, operation: Delete) -> None:
        await self._submit(operation)

    async def touch(self, operation: Touch) -> str | None:
        return cast("str | None", await self._submit(operation))

    async def update(self, operation: Update) -> Updated:
        return cast("Updated", await self._submit(operation))

    async def list(self, operation: List) -> Page:
        async def read(keys: KeyRange, wanted: int) -> tuple[Sequence[KeyInfo], KeyRange | None]:
            self._check_open()
            list_some = partial(self._lister.list_some, operation, keys, wanted)
            return await self._in(self._listing, list_some)

        return await list_page(operation, read)

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        async def delete_some(keys: KeyRange, limit: int) -> Step:
            # As large as a group, so that no other write waits in its group.
            job = DeleteRange(operation.namespace, keys, limit)
            return cast("Step", await self._submit(job, MOST_BYTES))

        return await delete_in_steps(operation, delete_some)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        self._check_open()
        if operation.record is None and all(isinstance(item, Get) for item in operation.operations):
            return await self._in(self._reading, lambda: self._read_batch(operation))
        return cast("Sequence[Result]", await self._submit(operation))

    async def changes(self, operation: ReadChanges) -> ChangePage:
        if self.retention is None:
            raise self.unsupported(Capability.CHANGES)
        until = time.monotonic() + operation.wait
        while True:
            self._check_open()
            header = self._index[:HEADER_BYTES]
            page, next_expiry = await self._in(
                self._listing, lambda: read_changes(self._lister.db, operation)
            )
            if next_expiry is not None and next_expiry <= self.clock():
                await self._submit(RecordExpired())
                continue
            left = until - time.monotonic()
            if page.changes or operation.since is None or left <= 0:
                return page
            await self._wait_for_write(header, left, next_expiry)

    async def sweep(self, limit: int) -> int:
        return cast("int", await self._submit(Sweep(limit)))

    async def _submit(self, job: Job, size: int | None = None) -> Outcome:
        self._check_open()
        outcome = await self._commits.submit(job, size_of(job) if size is None else size)
        if self._waiting:
            self._waiting.wake()
        return outcome

    def _start(self, jobs: Sequence[Job]) -> Outcomes | None:
        started = self._writer.start(jobs)
        if started is not None:
            self._reader.begin_commit()
        return started

    def _confirm(self, jobs: Sequence[Job] | None) -> None:
        if jobs is None:
            self._reader.end_commit(None)
            return
        keys = [(job.namespace, job.key) for job in jobs if isinstance(job, Short)]
        self._reader.end_commit(keys, self._writer.log.pages)
        self._writer.check_files()

    async def _wait_for_write(
        self, header: bytes, seconds: float, next_expiry: float | None
    ) -> None:
        """Wait until a process writes, or an entry expires, at most this long."""
        until = time.monotonic() + seconds
        while self._opened and self._index[:HEADER_BYTES] == header:
            left = until - time.monotonic()
            if left <= 0 or (next_expiry is not None and next_expiry <= self.clock()):
                return
            if await self._waiting.wait(min(left, WATCH_SECONDS)):
                return

    def _shut_down(self, *, wait: bool = True) -> None:
        for executor in (self._checking, self._reading, self._listing, self._writing):
            executor.shutdown(wait=wait)

    async def _in(self, executor: Executor, act: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, act)
        except apsw.Error as error:
            raise self._translated(error) from error

    def _check_open(self) -> None:
        if not self._opened:
            raise StorageUnavailable("The storage is closed")

    def _translated(self, error: apsw.Error) -> StorageError:
        if self._opened:
            try:
                self._files.check()
            except StorageUnavailable as lost:
                return lost
        return translated(error, self.path)

    # The methods below run in the threads.

    def _connect_all(self) -> Sequence[Migration]:
        db = self._connect(self._writer.patience)
        migrations = self._writer.open(db, may_create=self.may_create)
        reader = self._connect_reader(None)
        self._patient_reader = self._connect_reader(Patience(self._busy_timeout_seconds))
        self._lister = self._connect_reader(Patience(self._busy_timeout_seconds))
        self._checker = self._connect_reader(Patience(self._busy_timeout_seconds))
        self._index = self._files.open()
        self._reader = RecentReads(reader, self._index, INLINE_BYTES, self.clock)
        return migrations

    def _disconnect_all(self) -> None:
        may_write = self._files.may_be_completed()
        while self._connections:
            db = self._connections.pop()
            if not may_write:
                db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            db.close()
        self._files.close()

    def _connect(self, patience: Patience | None) -> apsw.Connection:
        db = connect(self.path, patience)
        self._connections.append(db)
        return db

    def _connect_reader(self, patience: Patience | None) -> EntryTable:
        db = self._connect(patience)
        db.pragma("user_version")  # opens the log now, since it may be removed later
        return EntryTable(db, self.clock)

    def _check(self) -> None:
        self._files.check()
        self._checker.get(Get(DEFAULT_NAMESPACE, "health"))

    def _read_batch(self, batch: Batch) -> Sequence[Result]:
        with savepoint(self._patient_reader.db):  # all gets see the same moment
            return run_batch(self._patient_reader, batch)
