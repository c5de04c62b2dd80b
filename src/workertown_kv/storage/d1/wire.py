"""Encode statements for D1's REST API, and decode the rows in its answers."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ..cloudflare_api.answers import Envelope
from ..remote_sqlite.database import Row
from ..sql.writing import Statement, Value

_HALF: Final = 900_000
"""At most so many bytes become one parameter: D1 takes texts of 2,000,000 bytes."""


class _Rows(msgspec.Struct, frozen=True):
    rows: Sequence[Sequence[Any]] = ()


class _Result(msgspec.Struct, frozen=True):
    results: _Rows = _Rows()
    success: bool = True


class Answer(Envelope, frozen=True, kw_only=True):
    """The answer to a request."""

    result: Sequence[_Result]

    def rows(self) -> Sequence[Sequence[Row]]:
        """Return the rows of each statement."""
        return [[tuple(map(_column, row)) for row in one.results.rows] for one in self.result]

    @property
    def is_whole(self) -> bool:
        """Whether all statements have succeeded."""
        return all(one.success for one in self.result)


ANSWER: Final = msgspec.json.Decoder(Answer)


def encoded(statements: Sequence[Statement]) -> bytes:
    """Return the body of a request that runs all statements."""
    queries = [_query(statement) for statement in statements]
    return msgspec.json.encode(queries[0] if len(queries) == 1 else {"batch": queries})


def _query(statement: Statement) -> dict[str, Any]:
    text, values = statement
    if not any(isinstance(value, bytes) for value in values):
        return {"sql": text, "params": list(values)}
    # JSON has no bytes. No text of this package has a question mark that is not a mark.
    first, *others = text.split("?")
    parameters: list[Any] = []
    for value, after in zip(values, others, strict=True):
        mark, given = _parameter(value)
        parameters += given
        first += mark + after
    return {"sql": first, "params": parameters}


def _parameter(value: Value) -> tuple[str, Sequence[Any]]:
    """Return the text that stands for a value, and its parameters."""
    if not isinstance(value, bytes):
        return "?", [value]
    parts = [value[at : at + _HALF].hex() for at in range(0, len(value), _HALF)] or [""]
    return f"CAST({' || '.join(['unhex(?)'] * len(parts))} AS BLOB)", parts


def _column(value: Any) -> Any:
    match value:
        case str():
            return value.encode()
        case int() | float():
            return float(value)
        case list():
            return bytes(value)
    return None
