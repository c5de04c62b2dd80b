"""How a batch runs, for storages whose engine can be called without waiting."""

from collections.abc import Sequence
from typing import Protocol

from ..entry import Entry
from ..errors import Conflict, KvError, PreconditionFailed, ValueTooLarge
from ..operations import Batch, Delete, Get, Operation, Result, Set


class Table(Protocol):
    """The three acts on one entry, as `Storage` promises them but synchronous."""

    def get(self, operation: Get) -> Entry | None:
        """The entry, or `None`."""

    def set(self, operation: Set) -> str:
        """Write it; the new version."""

    def delete(self, operation: Delete) -> None:
        """Remove it."""


class ReadBudget:
    """How many bytes of values a batch may still return."""

    def __init__(self, read_bytes: int) -> None:
        self._allowed = self._left = read_bytes

    def spend(self, entry: Entry | None) -> Entry | None:
        """Pass the entry on, or raise `ValueTooLarge` where it does not fit any more."""
        if entry is not None:
            if len(entry.value) > self._left:
                raise ValueTooLarge(
                    f"The values asked for have more than {self._allowed:,} bytes together"
                )
            self._left -= len(entry.value)
        return entry


def run_batch(table: Table, batch: Batch) -> Sequence[Result]:
    """Do the operations in order. Where an atomic batch raises, the caller undoes it."""
    budget = ReadBudget(batch.read_bytes)
    results = [_attempt(table, operation, budget) for operation in batch.operations]
    if batch.atomic:
        _raise_first(results)
    return results


def guarded(get: Get, entry: Entry | None) -> Entry | None:
    """Pass on what a get found, or raise `PreconditionFailed`."""
    if get.precondition and not get.precondition.holds(entry.version if entry else None):
        raise PreconditionFailed
    return entry


def _attempt(table: Table, operation: Operation, budget: ReadBudget) -> Result:
    try:
        match operation:
            case Get():
                return budget.spend(guarded(operation, table.get(operation)))
            case Set():
                return table.set(operation)
            case Delete():
                table.delete(operation)
                return None
    except KvError as error:
        return error


def _raise_first(results: Sequence[Result]) -> None:
    failed = [i for i, result in enumerate(results) if isinstance(result, PreconditionFailed)]
    if failed:
        raise Conflict(failed)
    for result in results:
        if isinstance(result, KvError):
            raise result
