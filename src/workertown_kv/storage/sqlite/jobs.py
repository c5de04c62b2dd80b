"""Run jobs, each a write or a step of maintenance, in the transactions of the writer."""

from collections.abc import Sequence
from typing import Final

import apsw
import msgspec

from ...operations import Batch, Delete, Result, Set, Touch, Update, Updated
from ..batch import run_batch
from ..contract import Retention
from ..deletion import DeleteRange, Step
from .change_log import MOST_EXPIRED, Recorder
from .connection import savepoint
from .files import Files
from .group_commit import LARGE_BYTES
from .table import EntryTable, LargeValue

_PROBED_BYTES: Final = 64 * 1024
"""The disk counts as full if the file has no room for this many bytes."""


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


def is_short(job: Job) -> bool:
    """Return whether the event loop may run a job."""
    return isinstance(job, Short) and size_of(job) <= LARGE_BYTES


class JobRunner:
    """Runs jobs on the table, in the transactions of its caller."""

    def __init__(self, db: apsw.Connection, files: Files, retention: Retention | None) -> None:
        self._db = db
        self._files = files
        self._page_bytes = db.pragma("page_size")
        self.now = 0.0
        """The time of all writes of a transaction, so that none is after an unrecorded expiry."""
        self._table = EntryTable(db, lambda: self.now)
        self._recorder = Recorder(db, retention)

    def open(self) -> None:
        """Turn the log of changes on or off."""
        self._recorder.open(self.now)

    def run(self, jobs: Sequence[Job]) -> Outcomes:
        """Run the jobs of a transaction."""
        if not all(isinstance(job, Sweep | Probe) for job in jobs):
            self._recorder.record_expired(self.now)
        outcomes = [self._outcome(job) for job in jobs]
        self._finish(jobs)
        return outcomes

    def run_short(self, jobs: Sequence[Job]) -> Outcomes | None:
        """Run jobs on the event loop.

        Returns `None` if so many expiries have to be recorded first that it would take long.
        Raises `LargeValue` if a job would read a large value.
        """
        if not self._recorder.record_expired(self.now, MOST_EXPIRED):
            return None
        outcomes = [self._outcome(job, LARGE_BYTES) for job in jobs]
        self._finish(jobs)
        return outcomes

    def _finish(self, jobs: Sequence[Job]) -> None:
        self._recorder.trim_after_writes(self.now)
        if any(map(_grows, jobs)):
            self._make_room()

    def _outcome(self, job: Job, value_bytes: int | None = None) -> Outcome | Exception:
        """Run a job of a group. A job that fails leaves no trace, and the others continue.

        Raises `LargeValue` if the job would read a value of more than `value_bytes`.
        """
        table = self._table
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
                    return self._delete_range(job)
                case Sweep():
                    return self._sweep(job.limit)
                case Probe():
                    self._probe()
                    return None
                case RecordExpired():
                    return None
        except (apsw.Error, LargeValue):
            raise
        except Exception as error:  # noqa: BLE001  (`submit` raises it)
            return error

    def _delete_range(self, job: DeleteRange) -> Step:
        keys, rest = self._table.first_keys(job)
        with self._recorder.deleting(job.namespace, keys, self.now):
            return self._table.delete_range(job.namespace, keys), rest

    def _sweep(self, limit: int) -> int:
        self._recorder.trim(self.now)
        expired = self._table.to_sweep(limit)
        if expired:
            self._recorder.record_expired(self.now)
            self._table.remove(expired)
        return len(expired)

    def _probe(self) -> None:
        # Writing the same number again still writes a page of the file.
        self._db.pragma("user_version", self._db.pragma("user_version"))
        free_bytes = self._db.pragma("freelist_count") * self._page_bytes
        if free_bytes < _PROBED_BYTES:
            self._make_room(_PROBED_BYTES)
        self._files.reserve()

    def _make_room(self, more: int = 0) -> None:
        self._files.grow(self._db.pragma("page_count") * self._page_bytes + more)


def _plain_sets(batch: Batch) -> Sequence[Set] | None:
    """Return the operations of a batch if they only write, whatever is there before."""
    sets = [one for one in batch.operations if isinstance(one, Set) and one.precondition is None]
    return sets if len(sets) == len(batch.operations) and batch.record is None else None


def _grows(job: Job) -> bool:
    return isinstance(job, Update) or size_of(job) > 0
