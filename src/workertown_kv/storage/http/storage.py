"""Keep entries in another server of this kind."""

import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from ...entry import DEFAULT_NAMESPACE, RESERVED_NAMESPACE, Entry
from ...errors import (
    InputError,
    KvError,
    NamespaceNotFound,
    NotFound,
    StorageError,
    StorageUnsupported,
    ValueTooLarge,
)
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
    Record,
    Result,
    Set,
    Touch,
    Update,
    Updated,
)
from ...options import Secret
from ...wire.about import decode_about
from ...wire.batches import decode_results, encode_batch, is_sendable
from ...wire.cursors import encode_cursor
from ...wire.failures import made
from ...wire.pages import decode_changes, decode_deletion, decode_page
from ..clock_skew import skew_warnings
from ..compare_and_set import compare_and_set
from ..contract import Capability, Clock, Migration, Storage
from .api_keys import HttpKeyDirectory
from .connection import Connection, Query, Request, Response, read
from .decided_batch import decided_batch
from .listing import list_query
from .namespaces import HttpDirectory
from .put import LARGE_BYTES, put_request, version_in
from .url import parse_url

KV: Final = "/v1/kv"
"""The path of values and keys, below the URL of the server."""

CHANGES: Final = "/v1/changes"
READY: Final = "/health/ready"
MOST_CHANGES: Final = 1000
MOST_PREFIXES: Final = 100
MOST_DELETED: Final = 10_000
MOST_WAIT_SECONDS: Final = 60.0

_JSON: Final = {"Content-Type": b"application/json"}
_NOT_REACHED: Final = (
    "They would be in the server behind, which lets no client reach its reserved namespace."
)


class HttpStorage(Storage):
    """Keeps entries in the server at `url`, with a token that this server accepts.

    It promises what the storage of that server promises, and lacks what that storage lacks, which
    `open` asks.
    """

    def __init__(
        self, url: str, *, token: Secret | str | None = None, clock: Clock = time.time
    ) -> None:
        super().__init__(clock=clock)
        secret = Secret(token) if isinstance(token, str) else token
        self._connection = Connection(parse_url(url, secret), secret)
        # It stays the same dictionary, which wrappers of the storage share.
        self._lacks = {Capability.RESERVED: _NOT_REACHED}
        self.lacks = self._lacks  # type: ignore[misc]  # of each instance
        self._limits: Mapping[str, int] = {}
        self.directory = HttpDirectory(self._connection)
        self.key_directory = HttpKeyDirectory(self._connection)
        self._times = (0.0, 0.0, 0.0)

    async def open(self) -> Sequence[Migration]:
        self._connection.open()
        try:
            await self._ask()
        except BaseException:
            await self._connection.close()
            raise
        return ()

    async def _ask(self) -> None:
        """Ask what the server can do, which also shows whether it accepts the token."""
        before = self.clock()
        try:
            data = await self._data(Request(method="GET", path=KV, query={"about": "true"}))
        except InputError as error:
            raise StorageError(f"The server is too old to be a storage: {error.message}") from error
        about = read(data, decode_about)
        known = {capability.value: capability for capability in Capability}
        self._lacks.clear()
        for name, reason in about.lacks.items():
            if name in known:
                self._lacks[known[name]] = reason
        self._lacks[Capability.RESERVED] = _NOT_REACHED
        self.keeps_answers = about.idempotency
        self._limits = about.limits
        self._times = (about.now, before, self.clock())

    async def close(self) -> None:
        await self._connection.close()

    async def warnings(self) -> Sequence[str]:
        return skew_warnings("the server behind", *self._times)

    async def probe(self) -> None:
        try:
            await self._connection.data(Request(method="GET", path=READY))
        except NotFound:  # its public endpoints are off
            await self.check()

    async def get(self, operation: Get) -> Entry | None:
        result = await self._single(operation)
        assert result is None or isinstance(result, Entry)
        return result

    async def set(self, operation: Set) -> str:
        if len(operation.value) > LARGE_BYTES:
            request = put_request(KV, operation, space_of(operation.namespace))
            if request is not None:
                return version_in(await self._response(request))
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
        # With the key, the update can be sent again if its answer is lost.
        key = None
        if self.keeps_answers:
            key = secrets.token_hex(16)
        try:
            result = await self._single(operation, key)
        except ValueTooLarge:
            if key is None:
                raise
            # The server does not keep an answer of this size.
            return await compare_and_set(self, operation)
        assert isinstance(result, Updated)
        return result

    async def list(self, operation: List) -> Page:
        return await self._list(operation, {})

    async def list_entries(self, operation: List, read_bytes: int) -> Page:
        return await self._list(operation, {"values": "true", "read_bytes": str(read_bytes)})

    async def delete_prefix(self, operation: DeletePrefix) -> Deletion:
        query: Query = {"prefix": operation.prefix} if operation.prefix else {"all": "true"}
        query["limit"] = str(min(operation.limit, MOST_DELETED))
        cursor = encode_cursor("delete", operation.cursor)
        if cursor is not None:
            query["cursor"] = cursor
        request = Request(
            method="DELETE", path=KV, query=query | space_of(operation.namespace), writes=True
        )
        return read(await self._data(request), decode_deletion)

    async def secret(self) -> bytes | None:
        return await asyncio.to_thread(self._connection.secret)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        if operation.record is not None:
            return await self._recorded(operation, operation.record)
        if all(map(is_sendable, operation.operations)):
            return await self._batch(operation)
        if operation.atomic:
            return await decided_batch(operation, self._batch, self.clock())
        return await super().batch(operation)

    async def changes(self, operation: ReadChanges) -> ChangePage:
        if self.retention is None or Capability.CHANGES in self.lacks:
            raise self.unsupported(Capability.CHANGES)
        prefixes = operation.prefixes if len(operation.prefixes) <= MOST_PREFIXES else ("",)
        query: Query = {
            "namespace": operation.namespace or "*",
            "prefix": list(prefixes),
            "precise": "true",
            "limit": str(min(operation.limit, MOST_CHANGES)),
        }
        wait = 0.0
        if operation.since is not None:
            wait = min(operation.wait, MOST_WAIT_SECONDS)
            query |= {"since": operation.since, "wait": f"{wait:.3f}"}
        data = await self._data(Request(method="GET", path=CHANGES, query=query, wait=wait))
        page = read(data, lambda text: decode_changes(text, operation.namespace or ""))
        # Changes that were made while the server read the cursor of now came before now.
        return ChangePage((), page.cursor, True) if operation.since is None else page

    async def _list(self, operation: List, more: Query) -> Page:
        if not operation.within:
            return Page([])
        query = list_query(operation) | more | space_of(operation.namespace)
        data = await self._data(Request(method="GET", path=KV, query=query))
        return read(data, lambda text: decode_page(operation, text, with_values=bool(more)))

    async def _single(self, operation: Operation, key: str | None = None) -> Result:
        (result,) = await self._sent(Batch([operation]), key)
        if isinstance(result, KvError):
            raise result
        return result

    async def _batch(self, batch: Batch) -> Sequence[Result]:
        most = self._limits.get("batch_operations", len(batch.operations))
        if batch.atomic or len(batch.operations) <= most:
            return await self._sent(batch) if batch.operations else []
        results: list[Result] = []
        left = batch.read_bytes
        for start in range(0, len(batch.operations), most):
            some = Batch(batch.operations[start : start + most], read_bytes=left)
            found = await self._sent(some)
            left -= min(left, sum(len(one.value) for one in found if isinstance(one, Entry)))
            results += found
        return results

    async def _recorded(self, batch: Batch, record: Record) -> Sequence[Result]:
        """Let the server keep its answer under the name of a record, and make nothing of it here.

        A repetition gets the results of the first time, and so the same answer is made of them.
        """
        is_sent = all(map(is_sendable, batch.operations))
        if not (self.keeps_answers and record.request and batch.operations and is_sent):
            raise self.unsupported(Capability.RESERVED)
        fields = {**_JSON, "Idempotency-Request": record.request.encode()}
        results = await self._sent(batch, record.key, fields)
        record.make(results)
        return results

    async def _sent(
        self, batch: Batch, key: str | None = None, fields: Mapping[str, bytes] = _JSON
    ) -> Sequence[Result]:
        namespace, *others = {operation.namespace for operation in batch.operations}
        if others:
            raise StorageUnsupported("The batch has several namespaces; expected one, as over HTTP")
        writes = not all(isinstance(item, Get) for item in batch.operations)
        request = Request(
            method="POST",
            path=KV,
            query={"precise": "true", **space_of(namespace)},
            fields=fields if key is None else {**fields, "Idempotency-Key": key.encode()},
            body=encode_batch(batch),
            writes=writes,
            has_key=key is not None,
        )
        data = await self._data(request)
        return read(data, lambda text: decode_results(batch, text))

    async def _data(self, request: Request) -> bytes:
        with _found(request):
            return await self._connection.data(request)

    async def _response(self, request: Request) -> Response:
        with _found(request):
            return await self._connection.response(request)


def space_of(namespace: str) -> Query:
    """Return the parameter that names a namespace."""
    if namespace == DEFAULT_NAMESPACE:
        return {}
    if namespace == RESERVED_NAMESPACE:
        raise StorageUnsupported(f"This storage has no {Capability.RESERVED}. {_NOT_REACHED}")
    return {"namespace": namespace}


@contextmanager
def _found(request: Request) -> Iterator[None]:
    """Make the errors about a path or a namespace that the server does not have."""
    try:
        yield
    except NotFound as error:
        if error.message == NotFound().message:
            raise  # of an operation in an atomic batch
        if "namespace" in request.query and request.path == KV:
            raise made(NamespaceNotFound, error.message) from None
        raise StorageError(
            f"The server has nothing at {request.path}: {error.message}; expected the URL before "
            f"{KV}, of a server whose option endpoints.v1 has the default paths"
        ) from None
