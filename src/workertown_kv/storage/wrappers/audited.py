"""Note each operation on a storage, with its outcome."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from ...entry import Entry
from ...errors import Conflict, KvError, PreconditionFailed
from ...operations import (
    Batch,
    ChangePage,
    Delete,
    DeletePrefix,
    Deletion,
    Get,
    List,
    Operation,
    Page,
    ReadChanges,
    Result,
    Set,
    Touch,
    Update,
    Updated,
)
from ..contract import Storage
from .wrapper import Wrapper


class Act(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Describe what somebody did, or was refused to do, in an audit log. No value is part of it."""

    action: str
    namespace: str | None = None
    target: str | None = None
    """The API key or the namespace that the URL names, if nothing else in the line names it."""
    key: str | None = None
    prefix: str | None = None
    """The prefix of the keys, of a listing or a deletion."""
    before: str | None = None
    """The version before, if it is known without another read."""
    after: str | None = None
    """The version afterwards."""
    title: str | None = None
    """The title of a namespace that was made or renamed."""
    api_key: str | None = None
    """The name of an API key that was made or revoked."""
    deleted: int | None = None
    """How many entries a deletion by prefix has deleted."""
    status: int = 0
    """The HTTP status of this act: 200 if it was done."""


Note = Callable[[Act], None]

_DONE: Final = 200


class AuditedStorage(Wrapper):
    """Notes each operation after it has ended; without `reads`, only those that may write."""

    def __init__(self, storage: Storage, note: Note, *, reads: bool) -> None:
        super().__init__(storage)
        self._note = note
        self._reads = reads

    async def get(self, operation: Get) -> Entry | None:
        with self._noted(operation) as act:
            entry = await self._storage.get(operation)
            _add_result(act, entry)
            return entry

    async def set(self, operation: Set) -> str:
        with self._noted(operation) as act:
            version = await self._storage.set(operation)
            _add_result(act, version)
            return version

    async def delete(self, operation: Delete) -> None:
        with self._noted(operation):
            await self._storage.delete(operation)

    async def touch(self, operation: Touch) -> str | None:
        with self._noted(operation) as act:
            version = await self._storage.touch(operation)
            _add_result(act, version)
            return version

    async def update(self, operation: Update) -> Updated:
        with self._noted(operation) as act:
            updated = await self._storage.update(operation)
            _add_result(act, updated)
            return updated

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        act = Act(action="delete_prefix", namespace=operation.namespace, prefix=operation.prefix)
        with self._noting(act):
            deletion = await self._storage.delete_prefix(operation)
            act.deleted = deletion.deleted
            return deletion

    async def batch(self, operation: Batch) -> Sequence[Result]:
        acts = [_act_of(one) for one in operation.operations]
        try:
            results = await self._storage.batch(operation)
        except Conflict as error:
            if error.failed == (len(acts),):
                raise  # the operations of a repeated request are not done again
            for index, act in enumerate(acts):
                status = PreconditionFailed.status if index in error.failed else error.status
                _refuse(act, status)
            self._note_all(operation, acts)
            raise
        except BaseException as error:  # also if it is cancelled: it may be done all the same
            for act in acts:
                _refuse(act, _status_of(error))
            self._note_all(operation, acts)
            raise
        for act, result in zip(acts, results, strict=True):
            act.status = _DONE
            _add_result(act, result)
        self._note_all(operation, acts)
        return results

    async def list(self, operation: List) -> Page:
        with self._listed(operation):
            return await self._storage.list(operation)

    async def list_entries(self, operation: List, read_bytes: int) -> Page:
        with self._listed(operation):
            return await self._storage.list_entries(operation, read_bytes)

    async def changes(self, operation: ReadChanges) -> ChangePage:
        return await self._storage.changes(operation)

    @contextmanager
    def _noted(self, operation: Operation) -> Iterator[Act]:
        act = _act_of(operation)
        if isinstance(operation, Get) and not self._reads:
            with _refusals_noted(act, self._note):
                yield act
            return
        with self._noting(act):
            yield act

    @contextmanager
    def _listed(self, operation: List) -> Iterator[None]:
        act = Act(action="list", namespace=operation.namespace, prefix=operation.prefix)
        with self._noting(act) if self._reads else _refusals_noted(act, self._note):
            yield

    @contextmanager
    def _noting(self, act: Act) -> Iterator[None]:
        with _refusals_noted(act, self._note):
            yield
        act.status = act.status or _DONE
        self._note(act)

    def _note_all(self, batch: Batch, acts: Sequence[Act]) -> None:
        for operation, act in zip(batch.operations, acts, strict=True):
            if self._reads or act.status != _DONE or not isinstance(operation, Get):
                self._note(act)


@contextmanager
def _refusals_noted(act: Act, note: Note) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        _refuse(act, _status_of(error))
        note(act)
        raise


def _refuse(act: Act, status: int) -> None:
    """Give its status to an act that was not done: the version in its condition may be any text."""
    act.status = status
    act.before = None


def _status_of(error: BaseException) -> int:
    return error.status if isinstance(error, KvError) else 500


def _act_of(operation: Operation) -> Act:
    act = Act(
        action=type(operation).__name__.lower(),
        namespace=operation.namespace,
        key=operation.key,
    )
    condition = operation.precondition
    if condition is not None and not condition.negated and len(condition.versions or ()) == 1:
        (act.before,) = condition.versions or ()
    return act


def _add_result(act: Act, result: Result) -> None:
    match result:
        case Entry():
            act.before = result.version
        case Updated():
            act.before = act.before if result.before is None else result.before.version
            act.after = None if result.after is None else result.after.version
        case str():
            act.after = result
        case KvError():
            _refuse(act, result.status)
