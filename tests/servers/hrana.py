"""Run Hrana's requests on SQLite, as a libSQL server does: the streams, and what they answer."""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Final

import apsw
import apsw.ext

ANSWER_BYTES: Final = 10_000_000
"""The most bytes of values in an answer of a server with default settings."""

STREAM_SECONDS: Final = 10.0

_INPUT_ERRORS: Final = ("no such", "syntax error", "near ", "incomplete input")


class ProtocolError(Exception):
    """The request is not of Hrana, so that the server does nothing."""


class Hrana:
    """The streams of a database, each of which is a connection of SQLite."""

    def __init__(self, file: Path) -> None:
        self._file = str(file)
        self._kept: dict[str, tuple[Stream, float]] = {}
        self._lock = Lock()
        self._numbers = count()
        self.opened = 0
        """How many streams have been opened."""
        self.query_only = False
        """Whether new and idle streams refuse writes."""

    def pipeline(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer the requests of one stream, in order."""
        stream = self._stream(given.get("baton"))
        stream.refuse_writes(self.query_only)
        try:
            results = [stream.answer(request) for request in given["requests"]]
        except BaseException:
            stream.close()
            raise
        baton = None
        if stream.is_open:
            with self._lock:
                baton = f"{id(self)}-{next(self._numbers)}"
                self._kept[baton] = (stream, monotonic())
        return {"baton": baton, "base_url": None, "results": results}

    def cursor(self, given: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """Return the lines of the answer to a batch that the client reads step by step."""
        stream = self._stream(given.get("baton"))
        batch = stream.batch(given["batch"])
        with self._lock:
            baton = f"{id(self)}-{next(self._numbers)}"
            self._kept[baton] = (stream, monotonic())
        lines: list[Mapping[str, Any]] = [{"baton": baton, "base_url": None}]
        steps = zip(batch["step_results"], batch["step_errors"], strict=True)
        for step, (result, error) in enumerate(steps):
            if error is not None:
                lines.append({"type": "step_error", "step": step, "error": error})
            elif result is not None:
                lines.append({"type": "step_begin", "step": step, "cols": result["cols"]})
                lines += [{"type": "row", "row": row} for row in result["rows"]]
                end = ("affected_row_count", "last_insert_rowid")
                lines.append({"type": "step_end", **{name: result[name] for name in end}})
        return lines

    def end_streams(self) -> None:
        """End all idle streams, as the server does after some time."""
        with self._lock:
            kept, self._kept = self._kept, {}
        for stream, _ in kept.values():
            stream.close()

    def _stream(self, baton: str | None) -> "Stream":
        if baton is None:
            self.opened += 1
            return Stream(self._file)
        with self._lock:
            stream, since = self._kept.pop(baton, (None, 0.0))
        if stream is None:
            raise ProtocolError("Received an invalid baton")
        if monotonic() - since > STREAM_SECONDS:
            stream.close()
            raise ProtocolError("The stream has expired due to inactivity")
        return stream


class Stream:
    """One connection, and the texts of statements that the client has stored in it."""

    def __init__(self, file: str) -> None:
        self._db = apsw.Connection(file)
        self._db.set_busy_timeout(5000)
        self._db.pragma("journal_mode", "wal")
        self._db.pragma("synchronous", "off")  # no test cuts the power
        self._texts: dict[int, str] = {}
        self._left = 0
        self.is_open = True

    def close(self) -> None:
        self.is_open = False
        self._db.close()

    def refuse_writes(self, is_refused: bool) -> None:
        """Answer as a database that is read-only."""
        self._db.pragma("query_only", int(is_refused))

    def answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the result of a request."""
        kind = request["type"]
        try:
            return {"type": "ok", "response": {"type": kind, **self._done(kind, request)}}
        except apsw.Error as error:
            return {"type": "error", "error": _failure(error)}

    def batch(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run the steps whose conditions hold."""
        self._left = ANSWER_BYTES
        results: list[Any] = []
        errors: list[Any] = []
        for step in batch["steps"]:
            result = error = None
            if _holds(step.get("condition"), results, errors, self._db):
                try:
                    result = self._execute(step["stmt"])
                except apsw.Error as failed:
                    error = _failure(failed)
            results.append(result)
            errors.append(error)
        return {"step_results": results, "step_errors": errors}

    def _done(self, kind: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        match kind:
            case "execute":
                self._left = ANSWER_BYTES
                return {"result": self._execute(request["stmt"])}
            case "batch":
                return {"result": self.batch(request["batch"])}
            case "sequence":
                self._db.execute(self._text(request)).fetchall()
            case "describe":
                return {"result": self._described(self._text(request))}
            case "store_sql":
                self._texts[request["sql_id"]] = request["sql"]
            case "close_sql":
                self._texts.pop(request["sql_id"], None)
            case "get_autocommit":
                return {"is_autocommit": not self._db.in_transaction}
            case "close":
                self.close()
            case _:
                raise ProtocolError(f"unknown variant `{kind}`")
        return {}

    def _execute(self, statement: Mapping[str, Any]) -> Mapping[str, Any]:
        arguments: Any = [_value(one) for one in statement.get("args") or ()]
        if named := statement.get("named_args"):
            arguments = {one["name"].lstrip(":@$"): _value(one["value"]) for one in named}
        columns: list[Any] = []
        before = self._db.total_changes()

        def see(cursor: apsw.Cursor, *_: object) -> bool:
            columns[:] = [
                {"name": name, "decltype": kind} for name, kind in cursor.get_description()
            ]
            return True

        cursor = self._db.cursor()
        cursor.exec_trace = see
        rows = [
            [*map(self._column, row)] for row in cursor.execute(self._text(statement), arguments)
        ]
        return {
            "cols": columns,
            "rows": rows if statement.get("want_rows", True) else [],
            "affected_row_count": self._db.total_changes() - before,
            "last_insert_rowid": str(self._db.last_insert_rowid()),
            "replication_index": None,
            "rows_read": len(rows),
            "rows_written": self._db.total_changes() - before,
            "query_duration_ms": 0.1,
        }

    def _column(self, value: Any) -> Mapping[str, Any]:
        match value:
            case None:
                return {"type": "null"}
            case int():
                return {"type": "integer", "value": str(value)}
            case float():
                return {"type": "float", "value": value}
        self._left -= len(value if isinstance(value, bytes) else value.encode())
        if self._left < 0:
            raise _TooLarge
        if isinstance(value, bytes):
            return {"type": "blob", "base64": b64encode(value).decode().rstrip("=")}
        return {"type": "text", "value": value}

    def _described(self, text: str) -> Mapping[str, Any]:
        info = apsw.ext.query_info(self._db, text)
        return {
            "params": [{"name": name} for name in info.bindings_names],
            "cols": [{"name": name, "decltype": kind} for name, kind in info.description],
            "is_explain": bool(info.is_explain),
            "is_readonly": info.is_readonly,
        }

    def _text(self, given: Mapping[str, Any]) -> str:
        text = given.get("sql")
        return str(self._texts[given["sql_id"]] if text is None else text)


class _TooLarge(apsw.Error):
    pass


def _failure(error: apsw.Error) -> Mapping[str, Any]:
    """Return the error as a libSQL server words it."""
    text = str(error)
    if isinstance(error, _TooLarge):
        return {"message": "Response is too large", "code": "RESPONSE_TOO_LARGE"}
    if isinstance(error, apsw.SQLError) and text.startswith(_INPUT_ERRORS):
        return {"message": f"SQL input error: {text}", "code": "SQL_INPUT_ERROR"}
    name = type(error).__name__.removesuffix("Error").upper()
    return {"message": f"SQLite error: {text}", "code": f"SQLITE_{name}"}


def _holds(
    condition: Any, results: Sequence[Any], errors: Sequence[Any], db: apsw.Connection
) -> bool:
    if condition is None:
        return True
    match condition["type"]:
        case "ok":
            return results[condition["step"]] is not None
        case "error":
            return errors[condition["step"]] is not None
        case "not":
            return not _holds(condition["cond"], results, errors, db)
        case "and":
            return all(_holds(one, results, errors, db) for one in condition["conds"])
        case "or":
            return any(_holds(one, results, errors, db) for one in condition["conds"])
        case "is_autocommit":
            return not db.in_transaction
    raise ProtocolError(f"unknown condition {condition}")


def _value(given: Mapping[str, Any]) -> Any:
    match given["type"]:
        case "null":
            return None
        case "integer":
            if not isinstance(given["value"], str):
                raise ProtocolError("expected an integer as a string")
            return int(given["value"])
        case "float":
            return float(given["value"])
        case "text":
            return given["value"]
        case "blob":
            return b64decode(given["base64"] + "=" * (-len(given["base64"]) % 4))
    raise ProtocolError(f"unknown value {given}")
