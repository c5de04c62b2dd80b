"""Run statements on the D1 database of a binding, several in one transaction."""

import re
from collections.abc import Sequence
from typing import Any, Final

import js  # type: ignore[import-not-found]  # only Pyodide has it

from ....errors import StorageError, StorageFailure, StorageUnavailable
from ...remote_sqlite.database import Database, Row, kind_of, recognized
from ...sql.writing import Statement
from .. import bridge

# The errors of SQLite for which a retry does not help.
_REFUSED: Final = re.compile(r"SQLITE_(?!BUSY|LOCKED|FULL|IOERR|INTERRUPT)|D1_TYPE_ERROR")


class BoundDatabase(Database):
    """The binding, whose errors become errors of a storage."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding

    async def run(
        self, statements: Sequence[Statement], *, writes: bool
    ) -> Sequence[Sequence[Row]]:
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
    known = recognized(message)
    if known is not None:
        return known
    kind = kind_of(message)
    if _REFUSED.search(message):
        return StorageError(f"D1 refused: {message}", kind or StorageFailure.OTHER)
    return StorageUnavailable(f"D1 does not answer: {message}", kind or StorageFailure.UNREACHABLE)
