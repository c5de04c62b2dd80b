"""Write to the file, in transactions of many jobs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from shlex import quote
from typing import Final

import apsw

from ...errors import StorageError, StorageFailure, StorageUnavailable
from ..contract import Clock, Migration, Retention
from .connection import Patience, savepoint
from .failures import translated
from .files import Files
from .jobs import Job, JobRunner, Outcome, Outcomes, is_short, size_of
from .schema import check_owner, migrate
from .table import LargeValue
from .write_ahead_log import CHECKPOINT_PAGES, WriteAheadLog

_QUICK_SECONDS: Final = 0.002
"""The event loop may wait for a commit that takes at most this long."""
_QUICK_BYTES: Final = 256 * 1024
"""The commit of a group with more bytes takes longer on any disk."""
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
"""How long all commits run in the thread after a slow commit on the event loop.

The pause doubles with each slow commit, and begins again after a quick commit.
"""


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
        self._retention = retention
        self.patience = Patience(busy_timeout_seconds)
        self._started_bytes = 0
        self._slow_until = 0.0
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self.is_in_use = False
        """Whether a thread uses the connection for something other than a commit."""

    def open(self, db: apsw.Connection, *, may_create: bool) -> Sequence[Migration]:
        """Use a connection, which has `patience`, and bring the schema up to date.

        Raises `StorageError` if there are no tables yet, unless it may create them.
        """
        self.db = db
        with savepoint(self.db):  # all reads of the file see the same moment
            ran = check_owner(self.db)
        if not (ran or may_create):
            raise StorageError(
                f"There are no tables in {self._files.path}; run `workertown-kv migrate "
                f"--database {quote(str(self._files.path))}`",
                StorageFailure.REMOVED,
            )
        if self.db.readonly("main"):
            raise StorageError(
                f"SQLite cannot use {self._files.path}: it may not be written",
                StorageFailure.READ_ONLY,
            )
        if self._enter_wal_mode() != "wal":
            raise StorageError(f"SQLite cannot keep a write-ahead log beside {self._files.path}")
        self.db.pragma("synchronous", "FULL")
        self.db.pragma("fullfsync", True)  # asks macOS for what fsync means elsewhere
        self.log = WriteAheadLog(self.db, self._files, self.patience)
        self._runner = JobRunner(self.db, self._files, self._retention)
        self.patience.until = None
        with self._transaction():
            migrations = migrate(self.db)
            self._runner.open()
        if migrations:
            # From now on, the header of the file itself has the version of the schema.
            self.log.checkpoint()
        return migrations

    def _enter_wal_mode(self) -> str:
        """Let the file have a write-ahead log. Return the journal mode that it has then.

        SQLite does not always wait if several connections do so at the same time.
        """
        self.patience.until = time.monotonic() + self.patience.seconds
        while True:
            try:
                mode: str = self.db.pragma("journal_mode", "WAL")
            except apsw.BusyError:
                if not self.patience.wait(0):
                    raise
            else:
                return mode

    def migrate(self, to: int | None = None) -> Sequence[Migration]:
        """Bring the schema to the migration `to`, or up to date."""
        self.patience.until = None
        with self._transaction():
            return migrate(self.db, to)

    def start(self, jobs: Sequence[Job]) -> Outcomes | None:
        """Run short jobs in a transaction that `commit` is to end, and return their outcomes.

        Return `None`, without a transaction, if that could take long or fails: `commit` then does
        everything. This runs on the event loop, so it waits for nothing; `commit` runs in a thread.
        After a group that was started, the event loop calls `check_files`.
        """
        if self.is_in_use or self._files.are_lost or not all(map(is_short, jobs)):
            return None
        self.patience.until = 0
        try:
            self._begin()
            outcomes = self._runner.run_short(jobs)
        except (apsw.Error, LargeValue, StorageUnavailable):
            outcomes = None
        if outcomes is None:
            self._roll_back()
        else:
            self._started_bytes = sum(map(size_of, jobs))
        return outcomes

    def commit_now(self) -> bool:
        """Commit what `start` has begun, on the event loop, if that is likely to be quick.

        Return whether it is committed; otherwise, `commit` does it. A thread beside a busy event
        loop waits for the interpreter lock longer than for a quick disk.
        """
        began = time.monotonic()
        if (
            began < self._slow_until
            or self._started_bytes > _QUICK_BYTES
            or self.log.pages >= CHECKPOINT_PAGES
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
            self.log.restart()
            self.patience.until = until
            outcomes = [self._commit_single(job) for job in jobs]
        if self.log.pages >= CHECKPOINT_PAGES:
            self.log.write_into_file()
        return outcomes

    def check_files(self) -> None:
        """Raise `StorageUnavailable` if a file of the database was removed or overwritten."""
        try:
            self._files.check()
        except StorageUnavailable:
            self.log.complete_file()
            raise

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
            with self._transaction():
                outcomes = self._runner.run(jobs)
        except apsw.Error as error:
            raise self._failure(error) from error
        self.check_files()
        with suppress(StorageUnavailable):
            self._files.reserve()
        return outcomes

    def _commit_single(self, job: Job) -> Outcome | Exception:
        try:
            return self._commit_together([job])[0]
        except StorageError as error:
            return error

    def _failure(self, error: apsw.Error) -> StorageError:
        failure = translated(error, self._files.path, self.db.system_errno)
        self.check_files()  # a file that was overwritten seems to be corrupt
        return failure

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._begin()
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _begin(self) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        self._runner.now = self._clock()

    def _roll_back(self) -> None:
        # Some failures of the engine end the transaction.
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")
