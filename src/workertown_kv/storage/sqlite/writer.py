"""Write to the file: transactions of many jobs, and the write-ahead log."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import apsw
import msgspec

from ...errors import StorageError, StorageFailure, StorageUnavailable
from ...operations import Batch, Delete, Result, Set, Touch, Update, Updated
from ..batch import run_batch
from ..contract import Clock, Migration, Retention
from ..deletion import DeleteRange, Step
from .change_log import MOST_EXPIRED, Recorder
from .connection import Patience, savepoint
from .failures import translated
from .files import Files
from .group_commit import LARGE_BYTES
from .schema import check_owner, migrate
from .table import EntryTable, LargeValue

LOG_BYTES: Final = 64 * 1024 * 1024
"""SQLite cuts a larger write-ahead log to this size when it starts again at the beginning."""

LOG_WARNING_BYTES: Final = 4 * LOG_BYTES
"""If the log is larger, a reader keeps it from starting again at the beginning."""

_WARNING_SECONDS: Final = 60
_CHECKPOINT_PAGES: Final = 1000
"""The log is written into the file once it has this many pages, as by SQLite's default."""
_PROBED_BYTES: Final = 64 * 1024
"""The disk counts as full if the file has no room for this many bytes."""
_SHORT_SECONDS: Final = 0.5
_QUICK_SECONDS: Final = 0.002
"""The event loop may wait for a commit that takes at most this long."""
_QUICK_BYTES: Final = 256 * 1024
"""The commit of a group with more bytes takes longer on any disk."""
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
"""How long all commits run in the thread after a slow commit on the event loop.

The pause doubles with each slow commit, and begins again after a quick commit.
"""

_LOG: Final = logging.getLogger("workertown_kv")


class Sweep(msgspec.Struct, frozen=True):
    """Remove at most this many expired entries."""

    limit: int


class Probe(msgspec.Struct, frozen=True):
    """Write without changing an entry."""


class RecordExpired(msgspec.Struct, frozen=True):
    """Record the expiries until now as changes."""


Short = Set | Delete | Touch | Update
"""The jobs that write one key, and may be run on the event loop."""
Job = Short | Batch | DeleteRange | Sweep | Probe | RecordExpired
Outcome = str | int | Updated | Sequence[Result] | Step | None
Outcomes = Sequence[Outcome | Exception]
"""What each job of a group returned or raised."""


def size_of(job: Job) -> int:
    """Return the bytes of the values that a job writes, and of the patches that it applies."""
    match job:
        case Set():
            return len(job.value)
        case Update():
            return job.patch_bytes
        case Batch():
            return sum(size_of(one) for one in job.operations if isinstance(one, Set | Update))
    return 0


class Writer:
    """Runs all writes, in one thread."""

    def __init__(
        self,
        files: Files,
        clock: Clock,
        busy_timeout_seconds: float,
        retention: Retention | None,
    ) -> None:
        self._files = files
        self._clock = clock
        self._now = 0.0
        """The time of all writes of a transaction, so that none is after an unrecorded expiry."""
        self._retention = retention
        self.patience = Patience(busy_timeout_seconds)
        self.log_pages = 0
        """How many pages the log had after the last commit."""
        self._warned_at = 0.0
        self._is_completed = False
        self._started_bytes = 0
        self._slow_until = 0.0
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self.is_in_use = False
        """Whether a thread uses the connection for something other than a commit."""

    def open(self, db: apsw.Connection) -> Sequence[Migration]:
        """Use a connection, which has `patience`, and bring the schema up to date."""
        self.db = db
        self._table = EntryTable(db, lambda: self._now)
        self._recorder = Recorder(db, self._retention)
        with savepoint(self.db):  # all reads of the file see the same moment
            check_owner(self.db)
        if self.db.readonly("main"):
            raise StorageError(
                f"SQLite cannot use {self._files.path}: it may not be written",
                StorageFailure.READ_ONLY,
            )
        if self.db.pragma("journal_mode", "WAL") != "wal":
            raise StorageError(f"SQLite cannot keep a write-ahead log beside {self._files.path}")
        self.db.pragma("synchronous", "FULL")
        self.db.pragma("fullfsync", True)  # asks macOS for what fsync means elsewhere
        self.db.pragma("journal_size_limit", LOG_BYTES)
        self._page_bytes = self.db.pragma("page_size")
        # This replaces SQLite's own hook, which does not report when it has written the file.
        self.db.set_wal_hook(self._note_log)
        self.patience.until = None
        with self._transaction():
            migrations = migrate(self.db)
            self._recorder.open(self._now)
        if migrations:
            # From now on, the header of the file itself has the version of the schema.
            with suppress(apsw.Error):
                self.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        return migrations

    def migrate(self, to: int | None = None) -> Sequence[Migration]:
        """Bring the schema to the migration `to`, or up to date."""
        self.patience.until = None
        with self._transaction() as table:
            return migrate(table.db, to)

    def start(self, jobs: Sequence[Job]) -> Outcomes | None:
        """Run short jobs in a transaction that `commit` is to end, and return their outcomes.

        Return `None`, without a transaction, if that could take long or fails: `commit` then does
        everything. This runs on the event loop, so it waits for nothing; `commit` runs in a thread.
        After a group that was started, the event loop calls `check_files`.
        """
        if self.is_in_use or self._files.are_lost or not all(map(_is_short, jobs)):
            return None
        self.patience.until = 0
        try:
            self._begin()
            if self._recorder.record_expired(self._now, MOST_EXPIRED):
                outcomes = [self._outcome(self._table, job, LARGE_BYTES) for job in jobs]
                self._recorder.trim_after_writes(self._now)
                if any(map(_grows, jobs)):
                    self._make_room()
                self._started_bytes = sum(map(size_of, jobs))
                return outcomes
        except (apsw.Error, LargeValue, StorageUnavailable):
            pass
        self._roll_back()
        return None

    def commit_now(self) -> bool:
        """Commit what `start` has begun, on the event loop, if that is likely to be quick.

        Return whether it is committed; otherwise, `commit` does it. A thread beside a busy event
        loop waits for the interpreter lock longer than for a quick disk.
        """
        began = time.monotonic()
        if (
            began < self._slow_until
            or self._started_bytes > _QUICK_BYTES
            or self.log_pages >= _CHECKPOINT_PAGES
        ):
            return False
        try:
            self.db.execute("COMMIT")
        except apsw.Error:
            self._roll_back()
            return False
        with suppress(StorageUnavailable):
            self._files.reserve()
        now = time.monotonic()
        if now - began <= _QUICK_SECONDS:
            self._pause_seconds = _FIRST_PAUSE_SECONDS
        else:
            self._slow_until = now + self._pause_seconds
            self._pause_seconds = min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
        return True

    def commit(self, jobs: Sequence[Job], until: float, started: Outcomes | None) -> Outcomes:
        """Commit the jobs that have been started, or run all in one transaction.

        The transaction waits for the lock until this moment. If there is not enough space for all
        jobs, each gets its own transaction: a deletion needs little space, and frees some.
        """
        self.patience.until = until
        try:
            if started is not None and self.db.in_transaction:
                outcomes = self._end(started)
            else:
                outcomes = self._commit_together(jobs)
        except StorageUnavailable as error:
            if error.kind is not StorageFailure.FULL:
                raise
            self._restart_log()
            self.patience.until = until
            outcomes = [self._commit_single(job) for job in jobs]
        if self.log_pages >= _CHECKPOINT_PAGES:
            self._write_log_into_file()
        return outcomes

    def _end(self, started: Outcomes) -> Outcomes:
        """Commit what `start` has begun."""
        try:
            self.db.execute("COMMIT")
        except apsw.Error as error:
            self._roll_back()
            raise self._failure(error) from error
        with suppress(StorageUnavailable):
            self._files.reserve()
        return started

    def _commit_together(self, jobs: Sequence[Job]) -> Outcomes:
        if self._files.are_lost:
            self.check_files()
        try:
            with self._transaction() as table:
                outcomes = self._run(table, jobs)
                self._recorder.trim_after_writes(self._now)
                if any(map(_grows, jobs)):
                    self._make_room()
        except apsw.Error as error:
            raise self._failure(error) from error
        self.check_files()
        with suppress(StorageUnavailable):
            self._files.reserve()
        return outcomes

    def _failure(self, error: apsw.Error) -> StorageError:
        failure = translated(error, self._files.path, self.db.system_errno)
        self.check_files()  # a file that was overwritten seems to be corrupt
        return failure

    def _commit_single(self, job: Job) -> Outcome | Exception:
        try:
            return self._commit_together([job])[0]
        except StorageError as error:
            return error

    def _run(self, table: EntryTable, jobs: Sequence[Job]) -> Outcomes:
        if not all(isinstance(job, Sweep | Probe) for job in jobs):
            self._recorder.record_expired(self._now)
        return [self._outcome(table, job) for job in jobs]

    def _outcome(
        self, table: EntryTable, job: Job, value_bytes: int | None = None
    ) -> Outcome | Exception:
        """Run a job of a group. A job that fails leaves no trace, and the others continue.

        Raises `LargeValue` if the job would read a value of more than `value_bytes`.
        """
        try:
            match job:
                case Set():
                    return table.set(job)
                case Delete():
                    table.delete(job)
                    return None
                case Touch():
                    return table.touch(job)
                case Update():
                    return table.update(job, value_bytes)
                case Batch():
                    with savepoint(table.db):
                        sets = _plain_sets(job)
                        return run_batch(table, job) if sets is None else table.set_all(sets)
                case DeleteRange():
                    return self._delete_range(table, job)
                case Sweep():
                    return self._sweep(table, job.limit)
                case Probe():
                    self._probe()
                    return None
                case RecordExpired():
                    return None
        except (apsw.Error, LargeValue):
            raise
        except Exception as error:  # noqa: BLE001  (`submit` raises it)
            return error

    def _delete_range(self, table: EntryTable, job: DeleteRange) -> Step:
        keys, rest = table.first_keys(job)
        with self._recorder.deleting(job.namespace, keys, self._now):
            return table.delete_range(job.namespace, keys), rest

    def _sweep(self, table: EntryTable, limit: int) -> int:
        self._recorder.trim(self._now)
        expired = table.to_sweep(limit)
        if expired:
            self._recorder.record_expired(self._now)
            table.remove(expired)
        return len(expired)

    def _probe(self) -> None:
        # Writing the same number again still writes a page of the file.
        self.db.pragma("user_version", self.db.pragma("user_version"))
        free_bytes = self.db.pragma("freelist_count") * self._page_bytes
        if free_bytes < _PROBED_BYTES:
            self._make_room(_PROBED_BYTES)
        self._files.reserve()

    def _make_room(self, more: int = 0) -> None:
        self._files.grow(self.db.pragma("page_count") * self._page_bytes + more)

    def check_files(self) -> None:
        """Raise `StorageUnavailable` if a file of the database was removed or overwritten."""
        try:
            self._files.check()
        except StorageUnavailable:
            if not self._is_completed and self._files.may_be_completed():
                self._is_completed = True
                self._complete_file()
            raise

    def _complete_file(self) -> None:
        """Save the acknowledged writes that are only in the log, which was removed."""
        self.patience.until = time.monotonic() + self.patience.seconds
        try:
            self.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
        except apsw.Error as error:
            _LOG.error("The last writes could not be saved into %s: %s", self._files.path, error)
        else:
            _LOG.error("All acknowledged writes have been saved into %s", self._files.path)
        self._files.note_written()

    def _note_log(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self.log_pages = pages
        return apsw.SQLITE_OK

    def _write_log_into_file(self) -> None:
        # If another process does the same, or the disk is full, the next commit tries again.
        with suppress(apsw.Error):
            self.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._files.note_written()
        now = time.monotonic()
        if (
            self._files.log_bytes > LOG_WARNING_BYTES
            and now - self._warned_at > _WARNING_SECONDS
            and not self._restart_log()
        ):
            self._warned_at = now
            _LOG.warning(
                "%s has grown to %s MB, because a program keeps reading an old state of the "
                "database. Find it with `lsof %s`, and end it",
                self._files.log_path,
                f"{self._files.log_bytes // 1_000_000:,}",
                self._files.path,
            )

    def _restart_log(self) -> bool:
        """Write the log into the file, so that the log starts again. Return whether that worked."""
        self.patience.until = time.monotonic() + _SHORT_SECONDS
        try:
            self.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        except apsw.Error:
            return False
        finally:
            self._files.note_written()
        return True

    @contextmanager
    def _transaction(self) -> Iterator[EntryTable]:
        self._begin()
        try:
            yield self._table
            self.db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _begin(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        self._now = self._clock()

    def _roll_back(self) -> None:
        # Some failures of the engine end the transaction.
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")


def _plain_sets(batch: Batch) -> Sequence[Set] | None:
    """Return the operations of a batch if they only write, whatever is there before."""
    sets = [one for one in batch.operations if isinstance(one, Set) and one.precondition is None]
    return sets if len(sets) == len(batch.operations) and batch.record is None else None


def _grows(job: Job) -> bool:
    return isinstance(job, Update) or size_of(job) > 0


def _is_short(job: Job) -> bool:
    return isinstance(job, Short) and size_of(job) <= LARGE_BYTES
