"""Trace each operation of a storage."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from ..entry import Entry
from ..meters.metric import Measurement
from ..operations import (
    Batch,
    ChangePage,
    Delete,
    DeletePrefix,
    Deletion,
    Get,
    List,
    Page,
    ReadChanges,
    Result,
    Set,
    Touch,
    Update,
    Updated,
)
from ..storage import Storage
from ..storage.trace_fields import TRACE_FIELDS
from ..storage.wrappers.wrapper import Wrapper
from .tracing import Tracing

_PACKAGE: Final = Storage.__module__.rpartition(".")[0].split(".")

_SYSTEMS: Final = {"dynamodb": "aws.dynamodb", "http": "workertown_kv", "postgres": "postgresql"}
"""The systems that have other names in the semantic conventions than our modules."""


def system_of(storage: Storage) -> str:
    """Return the system of a storage, as in `db.system.name`; `other` for a storage of others."""
    *package, module = type(storage).__module__.split(".")[: len(_PACKAGE) + 1]
    return _SYSTEMS.get(module, module) if package == _PACKAGE else "other"


class TracedStorage(Wrapper):
    """Makes a span of each operation, and passes it on to a server that is the storage."""

    def __init__(self, storage: Storage, tracing: Tracing) -> None:
        super().__init__(storage)
        self._tracing = tracing
        self._system = system_of(storage)

    def measurements(self) -> Iterable[Measurement]:
        return self._storage.measurements()

    async def learn(self) -> None:
        await self._storage.learn()

    async def get(self, operation: Get) -> Entry | None:
        with self._span("get"):
            return await self._storage.get(operation)

    async def set(self, operation: Set) -> str:
        with self._span("set"):
            return await self._storage.set(operation)

    async def delete(self, operation: Delete) -> None:
        with self._span("delete"):
            await self._storage.delete(operation)

    async def touch(self, operation: Touch) -> str | None:
        with self._span("touch"):
            return await self._storage.touch(operation)

    async def update(self, operation: Update) -> Updated:
        with self._span("update"):
            return await self._storage.update(operation)

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        with self._span("delete_prefix"):
            return await self._storage.delete_prefix(operation)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        with self._span("batch", len(operation.operations)):
            return await self._storage.batch(operation)

    async def list(self, operation: List) -> Page:
        with self._span("list"):
            return await self._storage.list(operation)

    async def list_entries(self, operation: List, read_bytes: int) -> Page:
        with self._span("list"):
            return await self._storage.list_entries(operation, read_bytes)

    async def changes(self, operation: ReadChanges) -> ChangePage:
        with self._span("changes"):
            return await self._storage.changes(operation)

    @contextmanager
    def _span(self, name: str, size: int | None = None) -> Iterator[None]:
        with self._tracing.recorder.operation(name, self._system, size) as fields:
            token = TRACE_FIELDS.set(fields)
            try:
                yield
            finally:
                TRACE_FIELDS.reset(token)
