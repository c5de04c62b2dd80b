"""Write the statements of single operations, and read their results."""

from collections.abc import Iterator, Sequence

from ...errors import PreconditionFailed, ValueTooLarge
from ...operations import Delete, Get, Operation, Result, Set, Touch
from ..batch import ReadBudget, guarded
from ..sql.dialects.sqlite import SqliteStatements
from ..sql.rows import EntryKey, entry_key, entry_of
from ..sql.snapshot import Found
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
        return entry_key(operation)

    def statements(
        self, operation: Operation, version: str, now: float, value_bytes: int
    ) -> Iterator[Statement]:
        """Yield the statements of an operation, of which the first has its result.

        A get leaves out a value that has more than `value_bytes`.
        """
        self.key_of(operation)
        match operation:
            case Get():
                yield self._sql.get_up_to(operation, now, value_bytes)
            case Set():
                yield counted(self._sql.set(operation, version, now))
            case Delete():
                if operation.precondition is not None:
                    yield self._sql.get_up_to(operation, now, -1)
                yield self._sql.delete(operation, now)
            case Touch():
                yield self._sql.get_up_to(operation, now, -1)
                yield self._sql.touch(operation, now)


def result_of(
    operation: Operation, rows: Sequence[Row], version: str, budget: ReadBudget
) -> Result:
    """Return the result of an operation, by the rows of its first statement, or raise its error."""
    match operation:
        case Get(key=key):
            return guarded(operation, budget.spend(entry_of(key, rows[0]) if rows else None))
        case Set():
            if not rows:
                raise PreconditionFailed
            return version
        case Delete() | Touch():
            condition = operation.precondition
            found = Found(rows[0][0].decode(), rows[0][1], False) if rows else None
            if condition and not condition.allows(found):
                raise PreconditionFailed
            return found.version if found and isinstance(operation, Touch) else None
    raise AssertionError(operation)


def is_left_out(operation: Operation, rows: Sequence[Row]) -> bool:
    """Return whether a get has found an entry without its value, which was too large."""
    return isinstance(operation, Get) and bool(rows) and entry_of(operation.key, rows[0]) is False


def counted(statement: Statement) -> Statement:
    """Return the statement such that it returns a row for each row that it writes."""
    text, values = statement
    return f"{text} RETURNING 1", values
