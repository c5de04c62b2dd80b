"""Read and write the table `entry` through one connection, synchronously."""

from collections.abc import Sequence
from typing import Any, Final, cast

import apsw

from ...entry import Entry, KeyInfo
from ...errors import PreconditionFailed
from ...operations import Delete, Get, List, Set, Touch, Update, Updated
from ..batch import update
from ..contract import SWEEP_MARGIN_SECONDS, Clock, Figures
from ..deletion import DeleteRange, up_to
from ..listing import KeyRange
from ..sql.dialects.sqlite import SET_ROWS, SqliteFileStatements
from ..sql.rows import entry_of, figures_of, keys_of
from ..version import new_version

SWEEP_BYTES: Final = 8 * 1024 * 1024
"""A sweep stops once it has removed values of this many bytes."""

_SQL: Final = SqliteFileStatements()
_GET_UP_TO: Final = _SQL.get_up_to_text
_SET: Final = _SQL.set_text
_SET_ROWS: Final = _SQL.set_rows_text


class LargeValue(Exception):
    """The value is larger than the caller is ready to read."""


class EntryTable:
    """Runs operations on entries. The caller begins and ends transactions."""

    def __init__(self, db: apsw.Connection, clock: Clock) -> None:
        self.db = db
        self._clock = clock

    def get(self, operation: Get) -> Entry | None:
        """Return the entry, whatever its size."""
        row = self.db.execute(_SQL.get_text, self._this(operation)).get
        return None if row is None else cast("Entry", entry_of(operation.key, row))

    def get_up_to(self, operation: Get, value_bytes: int) -> Entry | bool | None:
        """Return the entry, or `False` if its value has more than `value_bytes`."""
        row = self.db.execute(
            _GET_UP_TO,
            (value_bytes, operation.namespace, operation.key, self._clock()),
        ).get
        return None if row is None else entry_of(operation.key, row)

    def set(self, operation: Set) -> str:
        """Write the entry and return its new version."""
        self._check_precondition(operation)
        version = new_version()
        self.db.execute(_SET, _row(operation, version))
        return version

    def set_all(self, operations: Sequence[Set]) -> list[str]:
        """Write entries without preconditions, and return their new versions."""
        versions = [new_version() for _ in operations]
        whole = len(operations) - len(operations) % SET_ROWS
        for start in range(0, whole, SET_ROWS):
            # In a thread, each statement waits for the interpreter lock. So few are better.
            values: list[Any] = []
            for index in range(start, start + SET_ROWS):
                values += _row(operations[index], versions[index])
            self.db.execute(_SET_ROWS, values)
        for index in range(whole, len(operations)):
            self.db.execute(_SET, _row(operations[index], versions[index]))
        return versions

    def delete(self, operation: Delete) -> None:
        """Remove the entry."""
        self._check_precondition(operation)
        self.db.execute(_SQL.delete_text, (operation.namespace, operation.key))

    def touch(self, operation: Touch) -> str | None:
        """Change the lifetime and return the version; `None` if there is no entry."""
        self._check_precondition(operation)
        values = (operation.expires_at, *self._this(operation))
        return cast("str | None", self.db.execute(_SQL.touch_text, values).get)

    def update(self, operation: Update, value_bytes: int | None) -> Updated:
        """Write what the update decides. Raises `LargeValue` for a value that has more bytes."""
        get = Get(operation.namespace, operation.key)
        entry = self.get(get) if value_bytes is None else self.get_up_to(get, value_bytes)
        if isinstance(entry, bool):
            raise LargeValue
        return update(self, operation, entry)

    def list_some(
        self, operation: List, keys: KeyRange, wanted: int
    ) -> tuple[Sequence[KeyInfo], KeyRange | None]:
        """Return up to `wanted` keys of a range, out of the next `SCANNED_ROWS` rows.

        Also returns the rest of the range, `None` if there are no more keys in it.
        """
        is_reverse = operation.is_reverse
        rows = self.db.execute(
            _SQL.list_texts[keys.is_after_start, is_reverse],
            (operation.namespace, keys.start, keys.end, self._clock(), wanted),
        ).fetchall()
        if len(rows) < wanted or rows[-1][1] is None:
            last = cast("str | None", rows.pop()[0])
        else:
            last = cast("bytes", rows[-1][0]).decode()
        rest = None if last is None else keys.past(last, is_reverse=is_reverse)
        return keys_of(rows), rest

    def first_keys(self, job: DeleteRange) -> tuple[KeyRange, KeyRange | None]:
        """Return the part of a range that a step deletes, and the rest of the range.

        Removing large values takes long, so the part has fewer keys then.
        """
        rows = cast(
            "list[tuple[str, int]]",
            self.db.execute(*_SQL.sizes(job.namespace, job.keys, job.limit)).fetchall(),
        )
        size = 0
        for count, (last, value_bytes) in enumerate(rows, 1):
            size += value_bytes
            if size > SWEEP_BYTES or count == job.limit:
                return up_to(job.keys, last), job.keys.past(last, is_reverse=False)
        return job.keys, None

    def figures(self) -> Sequence[Figures]:
        """Return figures about each namespace."""
        return figures_of(self.db.execute(*_SQL.figures(self._clock())).fetchall())

    def delete_range(self, namespace: str, keys: KeyRange) -> int:
        """Delete the entries in a range of keys, and return how many there were."""
        self.db.execute(*_SQL.delete_range(namespace, keys, self._clock()))
        return self.db.changes()

    def to_sweep(self, limit: int) -> Sequence[int]:
        """Return the rows of entries to sweep, those that expired first at the beginning."""
        rows = []
        size = 0
        before = self._clock() - SWEEP_MARGIN_SECONDS
        expired = self.db.execute(_SQL.expired_text, (before, limit)).fetchall()
        for rowid, value_bytes in cast("list[tuple[int, int]]", expired):
            rows.append(rowid)
            size += value_bytes
            if size > SWEEP_BYTES:
                break
        return rows

    def remove(self, rows: Sequence[int]) -> None:
        """Remove these rows."""
        self.db.executemany(_SQL.remove_text, [(rowid,) for rowid in rows])

    def _check_precondition(self, operation: Set | Delete | Touch) -> None:
        if operation.precondition is not None:
            row = self.db.execute(_SQL.version_text, self._this(operation)).get
            found = None if row is None else KeyInfo(key="", version=row[0], expires_at=row[1])
            if not operation.precondition.allows(found):
                raise PreconditionFailed

    def _this(self, operation: Get | Set | Delete | Touch) -> tuple[str, str, float]:
        return (operation.namespace, operation.key, self._clock())


def _row(operation: Set, version: str) -> tuple[Any, ...]:
    return (
        operation.namespace,
        operation.key,
        version,
        operation.metadata,
        operation.value,
        operation.expires_at,
        operation.is_json,
    )
