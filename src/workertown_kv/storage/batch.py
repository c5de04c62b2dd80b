"""Run batches for storages whose engine can be called without waiting."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ..entry import Entry
from ..errors import (
    Conflict,
    KvError,
    NotFound,
    PreconditionFailed,
    StorageFailure,
    StorageUnavailable,
    ValueTooLarge,
)
from ..operations import (
    Batch,
    Decision,
    Delete,
    Get,
    Operation,
    Result,
    Set,
    Touch,
    Update,
    Updated,
)


class Table(Protocol):
    """The operations on one entry, as `Storage` promises them, but synchronous."""

    def get_up_to(self, operation: Get, value_bytes: int) -> Entry | bool | None:
        """Return the entry, or `False` if its value has more than `value_bytes`."""

    def set(self, operation: Set) -> str:
        """Write the entry. Returns its new version."""

    def delete(self, operation: Delete) -> None:
        """Remove the entry."""

    def touch(self, operation: Touch) -> str | None:
        """Change the lifetime. Returns the version of the entry, `None` if there is no entry."""


class ReadBudget:
    """The number of bytes of values that a batch may still return."""

    def __init__(self, read_bytes: int) -> None:
        self._allowed = self.left = read_bytes

    def spend(self, entry: Entry | bool | None) -> Entry | None:
        """Return the entry, or raise `ValueTooLarge` if it no longer fits."""
        if not isinstance(entry, bool):
            self._spend_bytes(0 if entry is None else len(entry.value))
            return entry
        raise self._exceeded()

    def spending(self, operation: Update, *, is_read: bool = False) -> Update:
        """Return the update, which spends the values before and after it, before it writes.

        With `is_read`, the caller has spent the value before it. An update that does not fit raises
        `ValueTooLarge` and writes nothing.
        """
        left = self.left

        def decide(entry: Entry | None) -> Decision:
            # A storage may decide several times, but writes once.
            self.left = left
            if not is_read:
                self.spend(entry)
            write = operation.decide(entry)
            if isinstance(write, Set) and operation.reads:
                self._spend_bytes(len(write.value))
            return write

        return msgspec.structs.replace(operation, decide=decide)

    def _spend_bytes(self, size: int) -> None:
        if size > self.left:
            raise self._exceeded()
        self.left -= size

    def _exceeded(self) -> ValueTooLarge:
        return ValueTooLarge(
            f"The values asked for have more than {self._allowed:,} bytes together"
        )


def run_batch(table: Table, batch: Batch) -> Sequence[Result]:
    """Run the operations in order. If an atomic batch raises an error, the caller undoes it."""
    budget = ReadBudget(batch.read_bytes)
    record = batch.record
    if record is not None and table.get_up_to(Get(record.namespace, record.key), 0) is not None:
        raise Conflict([len(batch.operations)])
    results = [_attempt(table, operation, budget) for operation in batch.operations]
    if batch.atomic:
        _raise_first(batch.operations, results)
    if record is not None:
        table.set(
            Set(
                namespace=record.namespace,
                key=record.key,
                value=record.make(results),
                is_json=False,
                expires_at=record.expires_at,
            )
        )
    return results


def is_down(result: Result) -> bool:
    """Return whether a result says that the engine does not answer, so that others need not ask."""
    return isinstance(result, StorageUnavailable) and result.kind is not StorageFailure.BUSY


def not_tried(count: int) -> list[StorageUnavailable]:
    """Return the results of operations that are left, since an earlier one had no answer."""
    return [StorageUnavailable("Not tried: an earlier operation had no answer")] * count


def keys_of(batch: Batch) -> Sequence[Get]:
    """Return a get of each operation, and of the record."""
    everything = (*batch.operations, *([] if batch.record is None else [batch.record]))
    return [Get(one.namespace, one.key) for one in everything]


def guarded(operation: Get | Update, entry: Entry | None) -> Entry | None:
    """Return the entry that an operation found, or raise `PreconditionFailed`."""
    if operation.precondition and not operation.precondition.allows(entry):
        raise PreconditionFailed
    return entry


def update(table: Table, operation: Update, entry: Entry | None) -> Updated:
    """Write what an update decides for the entry that is in the table."""
    match operation.decide(guarded(operation, entry)):
        case Set() as write:
            return Updated(entry, write.entry(table.set(write)))
        case Touch() as write:
            table.touch(write)
            return Updated(entry, touched(entry, write))
        case Delete() as write:
            table.delete(write)
            return Updated(entry, None)
    return Updated(entry, entry)


def touched(entry: Entry | None, touch: Touch) -> Entry | None:
    """Return the entry with its new lifetime."""
    return entry and msgspec.structs.replace(entry, expires_at=touch.expires_at)


def _attempt(table: Table, operation: Operation, budget: ReadBudget) -> Result:
    try:
        match operation:
            case Get():
                # A value counts even if the precondition fails, since reading it took time.
                return guarded(operation, budget.spend(table.get_up_to(operation, budget.left)))
            case Set():
                return table.set(operation)
            case Delete():
                table.delete(operation)
                return None
            case Touch():
                return table.touch(operation)
            case Update():
                get = Get(operation.namespace, operation.key)
                found = budget.spend(table.get_up_to(get, budget.left))
                return update(table, budget.spending(operation, is_read=True), found)
    except KvError as error:
        # The traceback would keep in memory the values that were read.
        return error.with_traceback(None)


def _raise_first(operations: Sequence[Operation], results: Sequence[Result]) -> None:
    failed = [i for i, result in enumerate(results) if isinstance(result, PreconditionFailed)]
    if failed:
        raise Conflict(failed)
    for operation, result in zip(operations, results, strict=True):
        if isinstance(result, KvError):
            raise result
        if isinstance(operation, Touch) and result is None:
            raise NotFound
