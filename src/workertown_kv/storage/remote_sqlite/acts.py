"""Write the statements of single operations, and read their results."""

from collections.abc import Iterator, Sequence

from ...errors import PreconditionFailed, ValueTooLarge
from ...operations import Delete, Get, Operation, Result, Set, Touch
from ..batch import ReadBudget, guarded
from ..snapshot import EntryKey, Found
from ..sql.dialects.sqlite import SqliteStatements
from ..sql.rows import checked_key, entry_of
from ..sql.writing import Statement
from .database import Limits, Row


class Acts:
    """Knows the statements of a table, and the limits of its engine."""

    def __init__(self, sql: SqliteStatements, limits: Limits) -> None:
        self._sql = sql
        self._limits = limits

    def key_of(self, operation: Operation) -> EntryKey:
        """Return the entry key. Raises `InputError` if the engine cannot keep the entry."""
        limits = self._limits
        if isinstance(operation, Set) and len(operation.value) > limits.value_bytes:
            raise ValueTooLarge(
                f"The value has {len(operation.value):,} bytes; {limits.engine} keeps "
                f"{limits.value_bytes:,}"
            )
        return checked_key(operation)

    def statements(
        self, operation: Operation, version: str, now: float, value_bytes: int
    ) -> Iterator[Statement]:
        """Yield the statements of an operation.

        A get leaves out a value that has more than `value_bytes`.
        """
        self.key_of(operation)
        match operation:
            case Get():
                yield self._sql.get_up_to(operation, now, value_bytes)
            case Set():
                yield returning(self._sql.set(operation, version, now))
            case Delete(precondition=None):
                yield self._sql.delete(operation, now)
            case Delete():
                yield returning(self._sql.delete(operation, now), "version")
                yield self._sql.get_up_to(operation, now, -1)
            case Touch():
                yield returning(self._sql.touch(operation, now), "version")
                yield self._sql.get_up_to(operation, now, -1)


class Overtaken(Exception):
    """Another write came between the statements of an operation, which did nothing."""


def result_of(
    operation: Operation, answers: Sequence[Sequence[Row]], version: str, budget: ReadBudget
) -> Result:
    """Return the result of an operation, by the rows of its statements, or raise its error.

    Not every engine runs these statements at one moment. So the statement that writes decides, and
    the read after it only says why nothing was written. Raises `Overtaken` if it cannot.
    """
    rows = answers[0]
    match operation:
        case Get(key=key):
            return guarded(operation, budget.spend(entry_of(key, rows[0]) if rows else None))
        case Set():
            if not rows:
                raise PreconditionFailed
            return version
        case Delete(precondition=None):
            return None
        case Delete() | Touch():
            if rows:
                return rows[0][0].decode() if isinstance(operation, Touch) else None
            found = [Found(one[0].decode(), one[1], False) for one in answers[1]]
            condition = operation.precondition
            if condition and not condition.allows(found[0] if found else None):
                raise PreconditionFailed
            if found:
                raise Overtaken
            return None
    raise AssertionError(operation)


def is_left_out(operation: Operation, rows: Sequence[Row]) -> bool:
    """Return whether a get has found an entry without its value, which was too large."""
    return isinstance(operation, Get) and bool(rows) and entry_of(operation.key, rows[0]) is False


def returning(statement: Statement, column: str = "1") -> Statement:
    """Return the statement such that it returns a row for each row that it writes."""
    text, values = statement
    return f"{text} RETURNING {column}", values
