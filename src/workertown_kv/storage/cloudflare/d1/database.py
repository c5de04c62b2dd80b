"""Run statements on a D1 database, several in one transaction."""

import re
from collections.abc import Sequence
from typing import Any, Final

import js  # type: ignore[import-not-found]  # only Pyodide has it

from ....errors import StorageError, StorageFailure, StorageUnavailable
from ...sql.writing import Statement
from .. import bridge

Row = tuple[Any, ...]
"""The columns of a row, with text as bytes and numbers as floats."""


class MissingTable(StorageError):
    """A table that a statement names does not exist."""

    def __init__(self, message: str) -> None:
        super().__init__(message, StorageFailure.REMOVED)


class Changed(StorageUnavailable):
    """An entry on which a batch depends has changed. Nothing was written."""

    def __init__(self, message: str) -> None:
        super().__init__(message, StorageFailure.BUSY)


_KINDS: Final = (
    (re.compile(r"SQLITE_(BUSY|LOCKED)|overloaded"), StorageFailure.BUSY),
    (re.compile(r"SQLITE_FULL|maximum DB size"), StorageFailure.FULL),
    (re.compile(r"SQLITE_READONLY"), StorageFailure.READ_ONLY),
    (re.compile(r"SQLITE_AUTH"), StorageFailure.REFUSED),
)

# The errors of SQLite for which a retry does not help.
_REFUSED: Final = re.compile(r"SQLITE_(?!BUSY|LOCKED|FULL|IOERR|INTERRUPT)|D1_TYPE_ERROR")


class Database:
    """The binding, whose errors become errors of a storage."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def run(self, statements: Sequence[Statement]) -> Sequence[Sequence[Row]]:
        """Run all statements at one moment, or none, and return the rows of each."""
        if not statements:
            return []
        try:
            prepared = [
                self._binding.prepare(text).bind(*map(bridge.argument, values))
                for text, values in statements
            ]
            results = await self._binding.batch(bridge.made_array(prepared))
            return [[_row(row) for row in result.results] for result in results]
        except bridge.JsError as error:
            raise _translated(str(error)) from error


def _row(row: Any) -> Row:
    return tuple(_column(value) for value in js.Object.values(row))


def _column(value: Any) -> Any:
    match value:
        case str():
            return value.encode()
        case int() | float():
            return float(value)
    return None if bridge.is_null(value) else bridge.bytes_of(value)


def _translated(message: str) -> StorageError:
    if "NOT NULL constraint failed: entry.namespace" in message:
        return Changed("Other requests keep writing the same keys")
    if "no such table" in message:
        return MissingTable("There is no table for the entries; POST /admin/migrate makes it")
    kind = next((kind for words, kind in _KINDS if words.search(message)), None)
    if _REFUSED.search(message):
        return StorageError(f"D1 refused: {message}", kind or StorageFailure.OTHER)
    return StorageUnavailable(f"D1 does not answer: {message}", kind or StorageFailure.UNREACHABLE)
