"""Write the statements on entries that all SQL databases share; a dialect adds the differences.

Names that could be words of SQL are in double quotes, as the standard has it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from msgspec import UNSET

from ...entry import Entry
from ...operations import MUST_EXIST, Delete, Get, List, Operation, Precondition, Set, Touch
from ..listing import KeyRange
from ..snapshot import EntryKey, Found
from .rows import checked_key, checked_namespace, entry_of
from .writing import Statement, Value, Writing

MOST_BYTES: Final = 2**31 - 1
"""The largest length that every engine can compare."""


class Statements(ABC):
    """The statements for one table."""

    columns: ClassVar[Sequence[str]]
    """The columns of an entry besides its namespace and key, in the order of `columns_of`."""

    same: ClassVar[str] = "IS NOT DISTINCT FROM"
    """The operator for equal values, of which two may be NULL."""

    about: ClassVar[str] = "version, expires_at, metadata"
    """The columns that are read of an entry besides its value."""

    contents: ClassVar[Sequence[str]]
    """The two columns by which a value is read (see `entry_of`)."""

    lengths: ClassVar[Sequence[str]]
    """The length in bytes of each of these columns that has a value."""

    whole: ClassVar[str] = "BIGINT"
    """The type for a whole number to which a sum is cast."""

    def __init__(self, table: str) -> None:
        self.table = f'"{table}"'
        marks = [self.mark(number) for number in range(1, 3 + len(self.columns))]
        first, second = self.contents
        self.get_text = (
            f"SELECT {self.about}, {first}, {second} FROM {self.table} WHERE {_this(marks)}"
        )
        limited = [
            f"CASE WHEN {length} <= {mark} THEN {column} END"
            for length, mark, column in zip(self.lengths, marks, self.contents, strict=False)
        ]
        columns = ", ".join([*limited, *self.contents[len(limited) :]])
        self.get_up_to_text = (
            f"SELECT {self.about}, {columns} FROM {self.table} WHERE {_this(marks[len(limited) :])}"
        )
        self.insert_text = f'INSERT INTO {self.table} (namespace, "key", {", ".join(self.columns)})'
        self.set_text = f"{self.insert_text} VALUES ({', '.join(marks)}) {self.replacing(None)}"
        self.delete_text = (
            f'DELETE FROM {self.table} WHERE namespace = {marks[0]} AND "key" = {marks[1]}'
        )

    @abstractmethod
    def mark(self, number: int) -> str:
        """Return the mark for the value with this number, from 1."""

    @abstractmethod
    def text(self, text: str) -> Value:
        """Return a text in the form that the driver expects."""

    @abstractmethod
    def columns_of(self, entry: Entry) -> Sequence[Value]:
        """Return the columns of an entry, as `columns` names them."""

    def entry_of(self, key: str, row: Sequence[Any]) -> Entry | bool:
        """Return the entry in a row that `get` selects, `False` if its value was left out."""
        return entry_of(key, row)

    def found_in(self, rows: Sequence[Sequence[Any]]) -> dict[EntryKey, Found]:
        """Return the entries in rows that `read` selects."""
        found = {}
        for name, key, *row in rows:
            at = name.decode(), key.decode()
            found[at] = Found(row[0].decode(), row[1], self.entry_of(at[1], row))
        return found

    def replacing(self, condition: str | None) -> str:
        """Return the end of an INSERT: if there is a row, replace it if the condition holds."""
        columns = ", ".join(f"{column} = excluded.{column}" for column in self.columns)
        where = "" if condition is None else f" WHERE {condition}"
        return f'ON CONFLICT (namespace, "key") DO UPDATE SET {columns}{where}'

    @abstractmethod
    def read(self, keys: Sequence[EntryKey], now: float, value_bytes: int) -> Statement:
        """Select the entries under keys; the values only up to `value_bytes` together."""

    @abstractmethod
    def sweep(self, before: float, limit: int) -> Statement:
        """Remove at most `limit` rows that expired at or before this time."""

    def figures(self, now: float) -> Statement:
        """Select each namespace, the number and the bytes of its entries, and that of its rows."""
        to = Writing(self.mark)
        counted = f"COUNT(CASE WHEN {alive(to.add(now))} THEN 1 END)"
        size = " + ".join(f"COALESCE({length}, 0)" for length in self.lengths)
        sized = f"SUM(CASE WHEN {alive(to.add(now))} THEN {size} ELSE 0 END)"
        return to.statement(
            f"SELECT namespace, {counted}, CAST({sized} AS {self.whole}), COUNT(*) "
            f"FROM {self.table} GROUP BY namespace"
        )

    def get(self, operation: Get, now: float) -> Statement:
        """Select the entry."""
        return self.get_text, (*self.key_values(checked_key(operation)), now)

    def get_up_to(self, operation: Operation, now: float, value_bytes: int) -> Statement:
        """Select the entry, without its value if the value has more than `value_bytes`."""
        limit = min(value_bytes, MOST_BYTES)
        limits = [limit] * len(self.lengths)
        return self.get_up_to_text, (*limits, *self.key_values(checked_key(operation)), now)

    def set(self, operation: Set, version: str, now: float) -> Statement:
        """Write the entry if its precondition holds; otherwise write no row."""
        condition, entry = operation.precondition, operation.entry(version)
        at = checked_key(operation)
        if condition is None:
            return self.set_text, (*self.key_values(at), *self.columns_of(entry))
        to = Writing(self.mark)
        if not condition.negated:
            written = zip(self.columns, self.columns_of(entry), strict=True)
            columns = ", ".join([f"{column} = {to.add(value)}" for column, value in written])
            where = self._where(to, at, condition, now)
            return to.statement(f"UPDATE {self.table} SET {columns} WHERE {where}")
        insert = self._insert(to, [(at, entry)])
        # A row that has expired is no entry, and may be replaced.
        unless = f"{self.table}.expires_at <= {to.add(now)}"
        if condition.versions is not None:
            versions = self.listed(to, condition.versions)
            unless += f" OR {self.table}.version NOT IN {versions}"
        return to.statement(f"{insert} {self.replacing(unless)}")

    def put(self, entries: Sequence[tuple[EntryKey, Entry]]) -> Statement:
        """Write these entries, whether or not they exist."""
        to = Writing(self.mark)
        return to.statement(f"{self._insert(to, entries)} {self.replacing(None)}")

    def delete(self, operation: Delete, now: float) -> Statement:
        """Remove the entry; with a precondition, only if it exists and the precondition holds."""
        at = checked_key(operation)
        if operation.precondition is None:
            return self.delete_text, self.key_values(at)
        to = Writing(self.mark)
        where = self._where(to, at, operation.precondition, now)
        return to.statement(f"DELETE FROM {self.table} WHERE {where}")

    def touch(self, operation: Touch, now: float) -> Statement:
        """Change the lifetime of the entry, if it exists and the precondition holds."""
        to = Writing(self.mark)
        expires_at = to.add(operation.expires_at)
        condition = operation.precondition or MUST_EXIST
        where = self._where(to, checked_key(operation), condition, now)
        return to.statement(f"UPDATE {self.table} SET expires_at = {expires_at} WHERE {where}")

    def touch_each(self, keys: Sequence[EntryKey], expires_at: float | None) -> Statement:
        """Change the lifetime of these rows."""
        to = Writing(self.mark)
        given = to.add(expires_at)
        where = self.at_any(to, keys)
        return to.statement(f"UPDATE {self.table} SET expires_at = {given} WHERE {where}")

    def remove(self, keys: Sequence[EntryKey], version: str | None = None) -> Statement:
        """Remove these rows; with a version, only the rows that have it."""
        to = Writing(self.mark)
        where = self.at_any(to, keys)
        if version is not None:
            where += f" AND version = {to.add(self.text(version))}"
        return to.statement(f"DELETE FROM {self.table} WHERE {where}")

    def key_values(self, at: EntryKey) -> tuple[Value, Value]:
        """Return a namespace and a key in the form that the driver expects."""
        return self.text(at[0]), self.text(at[1])

    def at_any(self, to: Writing, keys: Sequence[EntryKey]) -> str:
        """Return the condition of being one of these rows."""
        by_namespace: dict[str, list[Value]] = {}
        for name, key in keys:
            by_namespace.setdefault(name, []).append(self.text(key))
        each = [
            f'namespace = {to.add(self.text(name))} AND "key" IN {to.among(some)}'
            for name, some in by_namespace.items()
        ]
        return f"({' OR '.join(each)})"

    def listed(self, to: Writing, versions: Sequence[str]) -> str:
        """Return the right side of `IN` for these versions."""
        # No version has a NUL, and not every engine accepts a NUL in text.
        known = [self.text(version) for version in versions if "\0" not in version]
        return to.among(known or [self.text("")])

    def nth_key(self, namespace: str, keys: KeyRange, number: int) -> Statement:
        """Select the key with this number, from 1, of a range."""
        to = Writing(self.mark)
        return to.statement(
            f'SELECT "key" FROM {self.table} WHERE {self.in_range(to, namespace, keys)} '
            f'ORDER BY "key" LIMIT 1 OFFSET {to.add(number - 1)}'
        )

    def delete_range(self, namespace: str, keys: KeyRange, now: float) -> Statement:
        """Remove the entries in a range of keys that have not expired."""
        to = Writing(self.mark)
        where = self.in_range(to, namespace, keys)
        return to.statement(f"DELETE FROM {self.table} WHERE {where} AND {alive(to.add(now))}")

    def in_range(self, to: Writing, namespace: str, keys: KeyRange) -> str:
        """Return the condition of being in a range of the keys of a namespace."""
        start = ">" if keys.is_after_start else ">="
        where = (
            f"namespace = {to.add(self.text(checked_namespace(namespace)))} "
            f'AND "key" {start} {to.add(self.text(keys.start))}'
        )
        return where if keys.end is None else f'{where} AND "key" < {to.add(self.text(keys.end))}'

    def _insert(self, to: Writing, entries: Sequence[tuple[EntryKey, Entry]]) -> str:
        rows = [to.row((*self.key_values(at), *self.columns_of(entry))) for at, entry in entries]
        return f"{self.insert_text} VALUES {', '.join(rows)}"

    def _where(self, to: Writing, at: EntryKey, condition: Precondition, now: float) -> str:
        where = _this([to.add(value) for value in (*self.key_values(at), now)])
        if condition.versions is not None:
            how = "NOT IN" if condition.negated else "IN"
            where += f" AND version {how} {self.listed(to, condition.versions)}"
        elif condition.negated:
            where += " AND 1 = 0"  # the precondition holds for no entry that exists
        if condition.expires_at is not UNSET:
            where += f" AND expires_at {self.same} {to.add(condition.expires_at)}"
        return where


def order_of(operation: List) -> str:
    """Return the order of the rows of a listing."""
    return '"key" DESC' if operation.is_reverse else '"key"'


def alive(mark: str, column: str = "expires_at") -> str:
    """Return the condition of not having expired at the time for which the mark stands."""
    return f"({column} IS NULL OR {column} > {mark})"


def _this(marks: Sequence[str]) -> str:
    namespace, key, now = marks[:3]
    return f'namespace = {namespace} AND "key" = {key} AND {alive(now)}'
