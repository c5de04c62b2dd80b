"""Collect operations, and send them together."""

from collections.abc import Callable, Iterator, Sequence
from functools import update_wrapper
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar

from .. import operations
from ..entry import Entry
from ..errors import ClientError, InputError, KvError, ValueTooLarge
from ..operations import Get, Operation, Result, Set, Update
from ..options import LimitsOptions
from ..storage import Storage
from .key_operations import KeyOperations, Prepared

P = ParamSpec("P")
T = TypeVar("T")

_AROUND_BYTES: Final = 256
"""What the body of a batch has for an operation, besides its key and its value."""


class Pending(Generic[T]):
    """The result of an operation in a batch, once the batch has been sent."""

    def __init__(self, prepared: Prepared[T]) -> None:
        self._prepared = prepared
        self._results: list[Result] = []

    @property
    def operation(self) -> Operation:
        """The operation."""
        return self._prepared.operation

    def resolve(self, result: Result) -> None:
        """Take the result."""
        self._results = [result]

    def result(self) -> T:
        """Return the result of the operation, or raise its error."""
        if not self._results:
            raise ClientError("The batch has not been sent; expected the end of its with block")
        return self._prepared.outcome(self._results[0])


def _collected(
    method: Callable[Concatenate[KeyOperations, P], Prepared[T]],
) -> "Callable[Concatenate[Batch, P], Pending[T]]":
    """Make a method that collects the operation, and returns its pending result."""

    def collect(batch: "Batch", /, *args: P.args, **kwargs: P.kwargs) -> Pending[T]:
        return batch.add(method(batch.key_operations, *args, **kwargs))

    update_wrapper(collect, method)
    return collect


class Batch:
    """Operations that are sent together. Each method returns a `Pending` result."""

    def __init__(self, key_operations: KeyOperations, limits: LimitsOptions) -> None:
        self.key_operations = key_operations
        self._limits = limits
        self._pending: list[Pending[Any]] = []
        self._is_sent = False

    get = _collected(KeyOperations.get)
    entry = _collected(KeyOperations.entry)
    exists = _collected(KeyOperations.exists)
    set = _collected(KeyOperations.set)
    delete = _collected(KeyOperations.delete)
    touch = _collected(KeyOperations.touch)
    increment = _collected(KeyOperations.increment)
    patch = _collected(KeyOperations.patch)
    take = _collected(KeyOperations.take)

    def add(self, prepared: Prepared[T]) -> Pending[T]:
        """Collect an operation."""
        if self._is_sent:
            raise ClientError("The batch has been sent; expected operations in its with block")
        pending = Pending(prepared)
        self._pending.append(pending)
        return pending

    async def send(self, storage: Storage, *, atomic: bool) -> None:
        """Send the operations in order, and raise the first error of an operation."""
        self._is_sent = True
        if atomic:
            self._check_fits()
            await self._send(storage, self._pending, atomic=True)
        else:
            for part in self._parts():
                await self._send(storage, part, atomic=False)
        for index, pending in enumerate(self._pending):
            try:
                pending.result()
            except KvError as error:
                error.add_note(f"operation {index} of the batch, key {pending.operation.key!r}")
                raise

    async def _send(self, storage: Storage, sent: Sequence[Pending[Any]], *, atomic: bool) -> None:
        while sent:
            batch = operations.Batch(
                [one.operation for one in sent], atomic=atomic, read_bytes=self._limits.batch_bytes
            )
            results = await storage.batch(batch)
            for pending, result in zip(sent, results, strict=True):
                pending.resolve(result)
            rest = [
                pending
                for pending, result in zip(sent, results, strict=True)
                if isinstance(result, ValueTooLarge)
            ]
            only_reads = all(isinstance(one, Get) for one in batch.operations)
            has_read = any(isinstance(result, Entry) for result in results)
            # What is read later may have changed, but no write of this batch can have changed it.
            sent = rest if only_reads and has_read and not atomic else ()

    def _check_fits(self) -> None:
        most = self._limits.batch_operations
        if len(self._pending) > most:
            raise InputError(
                f"The batch has {len(self._pending):,} operations; with atomic=True, at most "
                f"{most:,} are allowed"
            )

    def _parts(self) -> Iterator[Sequence[Pending[Any]]]:
        """Yield parts of the batch that are small enough for a request each."""
        part: list[Pending[Any]] = []
        size = 0
        for pending in self._pending:
            own = _size_of(pending.operation)
            is_full = len(part) == self._limits.batch_operations
            if part and (is_full or size + own > self._limits.batch_bytes):
                yield part
                part, size = [], 0
            part.append(pending)
            size += own
        if part:
            yield part


def _size_of(operation: Operation) -> int:
    """Return about how many bytes an operation has in the body of a request."""
    match operation:
        case Set():
            value = len(operation.value)
            return (
                _AROUND_BYTES
                + len(operation.key)
                + (value if operation.is_json else 4 * value // 3)
            )
        case Update():
            return _AROUND_BYTES + len(operation.key) + operation.patch_bytes
    return _AROUND_BYTES + len(operation.key)
