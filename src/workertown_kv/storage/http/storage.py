"""Keep entries in another server of this kind."""

import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from ...entry import DEFAULT_NAMESPACE, RESERVED_NAMESPACE, Entry
from ...errors import (
    KvError,
    NamespaceNotFound,
    NotFound,
    StorageError,
    StorageUnsupported,
)
from ...operations import (
    Batch,
    Delete,
    Get,
    List,
    Operation,
    Page,
    Result,
    Set,
    Touch,
    Update,
    Updated,
)
from ...options import Secret
from ...wire.batches import decode_results, encode_batch, is_sendable
from ...wire.failures import made
from ...wire.pages import decode_page
from ..compare_and_set import compare_and_set
from ..contract import Capability, Clock, Migration, Storage
from .connection import Connection, Query, Request
from .listing import list_query
from .url import parse_url

KV: Final = "/v1/kv"
"""The path of values and keys, below the URL of the server."""

_JSON: Final = {"Content-Type": b"application/json"}
_T = TypeVar("_T")


class HttpStorage(Storage):
    """Keeps entries in the server at `url`, with a token that this server accepts.

    It promises what the storage of that server promises, and lacks what that storage lacks.
    """

    def __init__(
        self, url: str, *, token: Secret | str | None = None, clock: Clock = time.time
    ) -> None:
        super().__init__(clock=clock)
        secret = Secret(token) if isinstance(token, str) else token
        self._connection = Connection(parse_url(url, secret), secret)
        self.lacks: dict[Capability, str] = {}  # type: ignore[misc]  # those of the server

    async def open(self) -> Sequence[Migration]:
        self._connection.open()
        return ()

    async def close(self) -> None:
        await self._connection.close()

    async def get(self, operation: Get) -> Entry | None:
        result = await self._single(operation)
        assert result is None or isinstance(result, Entry)
        return result

    async def set(self, operation: Set) -> str:
        result = await self._single(operation)
        assert isinstance(result, str)
        return result

    async def delete(self, operation: Delete) -> None:
        await self._single(operation)

    async def touch(self, operation: Touch) -> str | None:
        result = await self._single(operation)
        assert result is None or isinstance(result, str)
        return result

    async def update(self, operation: Update) -> Updated:
        if not is_sendable(operation):
            return await compare_and_set(self, operation)
        result = await self._single(operation)
        assert isinstance(result, Updated)
        return result

    async def batch(self, operation: Batch) -> Sequence[Result]:
        if not all(map(is_sendable, operation.operations)):
            return await super().batch(operation)
        return await self._batch(operation)

    async def list(self, operation: List) -> Page:
        query = list_query(operation) | _space(operation.namespace)
        request = Request(method="GET", path=KV, query=query)
        data = await self._data(request, operation.namespace)
        return self._read(data, lambda: decode_page(operation, data, with_values=False))

    async def _single(self, operation: Operation) -> Result:
        (result,) = await self._batch(Batch([operation]))
        if isinstance(result, KvError):
            raise result
        return result

    async def _batch(self, batch: Batch) -> Sequence[Result]:
        if not batch.operations:
            return []
        namespace, *others = {operation.namespace for operation in batch.operations}
        if others:
            raise StorageUnsupported("The batch has several namespaces; expected one, as over HTTP")
        is_read = all(isinstance(item, Get) for item in batch.operations)
        request = Request(
            method="POST",
            path=KV,
            query={"precise": "true", **_space(namespace)},
            fields=_JSON,
            body=encode_batch(batch),
            writes=not is_read,
            may_repeat=is_read,
        )
        data = await self._data(request, namespace)
        return self._read(data, lambda: decode_results(batch, data))

    async def _data(self, request: Request, namespace: str) -> bytes:
        try:
            return await self._connection.data(request)
        except NotFound as error:
            if error.message == NotFound().message:
                raise  # of an operation in an atomic batch
            if namespace != DEFAULT_NAMESPACE:
                raise made(NamespaceNotFound, error.message) from None
            raise StorageError(
                f"The server has no native API at {KV}: {error.message}; expected the URL before "
                f"{KV}"
            ) from None

    def _read(self, data: bytes, read: Callable[[], _T]) -> _T:
        try:
            return read()
        except ValueError as error:
            raise StorageError("The server sent an answer of another form; is it older?") from error


def _space(namespace: str) -> Query:
    """Return the parameter that names a namespace."""
    if namespace == DEFAULT_NAMESPACE:
        return {}
    if namespace == RESERVED_NAMESPACE:
        raise StorageUnsupported(
            "A server keeps nothing of its own in a store elsewhere; expected a namespace of "
            "that store"
        )
    return {"namespace": namespace}
