"""Keep entries in another server of this kind."""

import asyncio
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Final

from ...entry import Entry
from ...errors import (
    InputError,
    KvError,
    NotFound,
    StorageError,
    StorageUnavailable,
    ValueTooLarge,
)
from ...meters.metric import Measurement
from ...operations import (
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
from ...options import Secret
from ...wire.about import decode_about
from ...wire.batches import is_sendable
from ...wire.cursors import encode_cursor
from ...wire.pages import decode_changes, decode_deletion, decode_page
from ..clock_skew import skew_warnings
from ..compare_and_set import compare_and_set
from ..contract import Capability, Clock, Migration, Storage
from ..gathered_operations import GatheredOperations, Write
from ..tasks import in_task
from .api_keys import HttpKeyDirectory
from .batches import Batches
from .connection import ABOUT, KV, Connection, Query, Request, read
from .decided_batch import decided_batch
from .groups import get_each, write_each
from .listing import list_query
from .namespaces import HttpDirectory
from .url import parse_url
from .values import NOT_REACHED, Values, space_of

CHANGES: Final = "/v1/changes"
READY: Final = "/health/ready"
MOST_CHANGES: Final = 1000
MOST_PREFIXES: Final = 100
MOST_DELETED: Final = 10_000
MOST_WAIT_SECONDS: Final = 60.0


class HttpStorage(Storage):
    """Keeps entries in the server at `url`, with a token that this server accepts.

    It promises what the storage of that server promises, and lacks what that storage lacks, which
    `open` asks. If the server cannot be reached then, the first request that reaches it asks.
    """

    needs_task = False

    def __init__(
        self, url: str, *, token: Secret | str | None = None, clock: Clock = time.time
    ) -> None:
        super().__init__(clock=clock)
        secret = Secret(token) if isinstance(token, str) else token
        self._connection = Connection(parse_url(url, secret), secret)
        # It stays the same dictionary, which wrappers of the storage share.
        self._lacks = {Capability.RESERVED: NOT_REACHED}
        self.lacks = self._lacks  # type: ignore[misc]  # of each instance
        self._values = Values(self._connection)
        self._batches = Batches(self._values)
        self._gathered = self._gather()
        self.directory = HttpDirectory(self._connection)
        self.key_directory = HttpKeyDirectory(self._connection)
        self._times = (0.0, 0.0, 0.0)

    async def open(self) -> Sequence[Migration]:
        # Nobody knows yet what a server that cannot be reached lacks: no request gets a 501.
        self.keeps_answers = True
        self._connection.open(self._ask)
        try:
            await self._connection.learn()
        except StorageUnavailable:
            pass  # operations and checks fail until the server can be reached
        except BaseException:
            await self._connection.close()
            raise
        self._gathered = self._gather()
        return ()

    async def _ask(self) -> None:
        """Ask what the server can do, which also shows whether it accepts the token."""
        before = self.clock()
        try:
            data = await self._values.data(ABOUT)
        except InputError as error:
            raise StorageError(f"The server is too old to be a storage: {error.message}") from error
        about = read(data, decode_about)
        known = {capability.value: capability for capability in Capability}
        self._lacks.clear()
        for name, reason in about.lacks.items():
            if name in known:
                self._lacks[known[name]] = reason
        self._lacks[Capability.RESERVED] = NOT_REACHED
        self.keeps_answers = about.idempotency
        self._batches.most = about.limits.get("batch_operations")
        self._batches.most_bytes = about.limits.get("batch_bytes")
        self._times = (about.now, before, self.clock())

    async def learn(self) -> None:
        await self._connection.learn()

    async def close(self) -> None:
        await self._gathered.close()
        await self._connection.close()

    async def warnings(self) -> Sequence[str]:
        return skew_warnings("the server behind", *self._times)

    async def probe(self) -> None:
        try:
            await self._connection.data(Request(method="GET", path=READY))
        except NotFound:  # its public endpoints are off
            await self.check()

    def measurements(self) -> Iterable[Measurement]:
        return self._gathered.measurements()

    async def get(self, operation: Get) -> Entry | None:
        return await self._gathered.get(operation)

    async def set(self, operation: Set) -> str:
        return await self._gathered.set(operation)

    async def delete(self, operation: Delete) -> None:
        await self._gathered.delete(operation)

    async def touch(self, operation: Touch) -> str | None:
        return await self._gathered.touch(operation)

    async def update(self, operation: Update) -> Updated:
        if not is_sendable(operation):
            return await compare_and_set(self, operation)
        await self._connection.learn()
        # With the key, the update can be sent again if its answer is lost.
        key = secrets.token_hex(16) if self.keeps_answers else None
        try:
            result = await self._batches.single(operation, key)
        except ValueTooLarge:
            if key is None:
                raise
            # The server does not keep an answer of this size.
            return await compare_and_set(self, operation)
        assert isinstance(result, Updated)
        return result

    async def list(self, operation: List) -> Page:
        return await in_task(self._list(operation, {}))

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
        return read(await self._values.data(request), decode_deletion)

    async def secret(self) -> bytes | None:
        return await asyncio.to_thread(self._connection.secret)

    async def batch(self, operation: Batch) -> Sequence[Result]:
        await self._connection.learn()
        is_sent = all(map(is_sendable, operation.operations))
        record = operation.record
        if record is not None:
            if not (self.keeps_answers and record.request and is_sent and operation.operations):
                raise self.unsupported(Capability.RESERVED)
            return await self._batches.recorded(operation, record)
        if is_sent:
            return await self._batches.run(operation)
        if operation.atomic:
            return await decided_batch(operation, self._batches.run, self.clock())
        return await super().batch(operation)

    async def changes(self, operation: ReadChanges) -> ChangePage:
        await self._connection.learn()
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
        data = await self._values.data(Request(method="GET", path=CHANGES, query=query, wait=wait))
        page = read(data, lambda text: decode_changes(text, operation.namespace or ""))
        # Changes that were made while the server read the cursor of now came before now.
        return ChangePage((), page.cursor, True) if operation.since is None else page

    async def _list(self, operation: List, more: Query) -> Page:
        if not operation.within:
            return Page([])
        query = list_query(operation) | more | space_of(operation.namespace)
        data = await self._values.data(Request(method="GET", path=KV, query=query))
        return read(data, lambda text: decode_page(operation, text, with_values=bool(more)))

    def _gather(self) -> GatheredOperations:
        batches = self._batches
        return GatheredOperations(
            get=self._get,
            get_each=lambda some: get_each(batches, some),
            write=self._write,
            write_each=lambda some: write_each(batches, some),
            seconds=self._connection.timeout,
            late=self._connection.late,
        )

    async def _get(self, operation: Get) -> Entry | None:
        result: object
        try:
            result = await self._batches.single(operation)
        except ValueTooLarge:
            # A batch returns at most `batch_bytes`, but a page may have a single larger value.
            page = await self.list_entries(List(operation.namespace, operation.key, 1), 1)
            result = next((one for one in page.keys if one.key == operation.key), None)
        assert result is None or isinstance(result, Entry)
        return result

    async def _write(self, operation: Write) -> Updated | str | None:
        result = await in_task(self._batches.write(operation))
        assert not isinstance(result, Entry | KvError)
        return result
