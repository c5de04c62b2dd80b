"""Encode requests of Hrana, the protocol of libSQL, and decode its answers.

Only requests of the types `execute` and `batch` are sent, which every server has.
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ..remote_sqlite.database import Row
from ..sql.writing import Statement, Value

_COMMIT: Final = "COMMIT"
_ROLLBACK: Final = "ROLLBACK"


class Failure(msgspec.Struct, frozen=True):
    """An error of a statement, or of a whole request."""

    message: str = ""
    code: str | None = None


class _Null(msgspec.Struct, frozen=True, tag_field="type", tag="null"):
    pass


class _Integer(msgspec.Struct, frozen=True, tag_field="type", tag="integer"):
    value: str | int


class _Float(msgspec.Struct, frozen=True, tag_field="type", tag="float"):
    value: float


class _Text(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    value: str


class _Blob(msgspec.Struct, frozen=True, tag_field="type", tag="blob"):
    base64: str


_Column = _Null | _Integer | _Float | _Text | _Blob


class _Executed(msgspec.Struct, frozen=True):
    rows: Sequence[Sequence[_Column]] = ()


class _Batched(msgspec.Struct, frozen=True):
    step_results: Sequence[_Executed | None]
    step_errors: Sequence[Failure | None]


class _OfExecute(msgspec.Struct, frozen=True, tag_field="type", tag="execute"):
    result: _Executed


class _OfBatch(msgspec.Struct, frozen=True, tag_field="type", tag="batch"):
    result: _Batched


class _Done(msgspec.Struct, frozen=True, tag_field="type", tag="ok"):
    response: _OfExecute | _OfBatch


class _Failed(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    error: Failure


class Answer(msgspec.Struct, frozen=True):
    """The answer to one request."""

    results: tuple[_Done | _Failed]
    baton: str | None = None
    """Continues the stream of the request; `None` if the server keeps no streams."""
    base_url: str | None = None
    """Where the stream continues; `None` for the URL of the request."""

    @property
    def leaves_transaction(self) -> bool:
        """Whether the stream may still be in a transaction."""
        (result,) = self.results
        if isinstance(result, _Failed) or isinstance(result.response, _OfExecute):
            return False
        return result.response.result.step_errors[-1] is not None

    def rows(self) -> Sequence[Sequence[Row]] | Failure:
        """Return the rows of each statement, or why all of them were undone."""
        (result,) = self.results
        if isinstance(result, _Failed):
            return result.error
        if isinstance(result.response, _OfExecute):
            return [_rows(result.response.result)]
        steps = result.response.result
        # The last step undoes the transaction, and fails if there is none.
        for failure in steps.step_errors[:-1]:
            if failure is not None:
                return failure
        return [_rows(executed) for executed in steps.step_results[1:-2]]


_ANSWER: Final = msgspec.json.Decoder(Answer)


def encoded(statements: Sequence[Statement], baton: str | None, *, writes: bool) -> bytes:
    """Return the body of a request that runs all statements at one moment, or none."""
    if len(statements) == 1:
        request: Any = {"type": "execute", "stmt": _statement(statements[0])}
    else:
        request = {"type": "batch", "batch": {"steps": _steps(statements, writes=writes)}}
    return msgspec.json.encode({"baton": baton, "requests": [request]})


def decoded(body: bytes) -> Answer:
    """Decode an answer. Raises `ValueError` if it is none."""
    return _ANSWER.decode(body)


def _steps(statements: Sequence[Statement], *, writes: bool) -> Sequence[Any]:
    """Return the steps of a transaction: each runs only if the step before has succeeded."""
    # Without IMMEDIATE, a transaction that reads first might fail once it writes.
    texts: list[Statement] = [("BEGIN IMMEDIATE" if writes else "BEGIN", ())]
    texts += [*statements, (_COMMIT, ())]
    steps: list[Any] = [{"stmt": _statement(one)} for one in texts]
    for index, step in enumerate(steps[1:]):
        step["condition"] = {"type": "ok", "step": index}
    committed = {"type": "ok", "step": len(steps) - 1}
    undo = {"stmt": _statement((_ROLLBACK, ())), "condition": {"type": "not", "cond": committed}}
    return [*steps, undo]


def _statement(statement: Statement) -> Any:
    text, values = statement
    return {"sql": text, "args": [_argument(value) for value in values], "want_rows": True}


def _argument(value: Value) -> Any:
    match value:
        case None:
            return {"type": "null"}
        case str():
            return {"type": "text", "value": value}
        case int():
            return {"type": "integer", "value": str(value)}
        case float():
            return {"type": "float", "value": value}
        case bytes():
            return {"type": "blob", "base64": b64encode(value).decode().rstrip("=")}


def _rows(executed: _Executed | None) -> Sequence[Row]:
    assert executed is not None, "a step without an error has a result"
    return [tuple(map(_value, row)) for row in executed.rows]


def _value(column: _Column) -> Any:
    match column:
        case _Text(value=text):
            return text.encode()
        case _Blob(base64=text):
            return b64decode(text + "=" * (-len(text) % 4))
        case _Integer(value=number):
            return int(number)
        case _Float(value=fraction):
            return fraction
    return None
