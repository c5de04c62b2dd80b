"""Handle requests for the entries of a namespace: values, keys and bulk requests."""

from collections.abc import Iterator

from ....entry import Entry
from ....errors import StorageError
from ....http.answer import Answer
from ....http.route import StorageFailed
from ....http.trail import storage_for
from ....namespaces import Namespaces
from ....operations import Batch, Get
from ....storage import Storage
from ..bodies import SMALL_BYTES
from ..bulk_get import batch_of, decode_bulk_get, encode_values
from ..limits import Limits
from ..listing import list_page
from .bulk import (
    BulkResult,
    BulkValues,
    decode_bulk_delete,
    decode_bulk_put,
    delete_bytes,
    failed_keys,
)
from .call import Call
from .envelope import answer_with
from .form import FORM_SLACK, decode_form
from .keys import decode_listing, encode_page
from .value import (
    decode_delete,
    decode_form_put,
    decode_head,
    encode_entry,
    encode_metadata,
    encode_version,
)


class EntryHandlers:
    """Read and write the entries of a namespace."""

    def __init__(
        self, storage: Storage, namespaces: Namespaces, limits: Limits, failed: StorageFailed
    ) -> None:
        self._storage = storage
        self._namespaces = namespaces
        self._limits = limits
        self._failed = failed

    async def get(self, call: Call) -> Answer:
        """Answer with the value's own bytes."""
        return encode_entry(call.exchange, await self._entry(call))

    async def metadata(self, call: Call) -> Answer:
        """Answer with only the metadata of a value."""
        return encode_metadata(await self._entry(call))

    async def put(self, call: Call) -> Answer:
        """Write a value; it replaces everything that the key had."""
        exchange, limits = call.exchange, self._limits
        head = decode_head(exchange, *await self._target(call), limits, self._storage.clock())
        body = await call.body(limits, limits.value_bytes + FORM_SLACK, "a value")
        form = await decode_form(exchange, body)
        del body  # a form has copies of its parts
        operation = await decode_form_put(head, form, limits)
        return encode_version(await storage_for(exchange, self._storage).set(operation))

    async def delete(self, call: Call) -> Answer:
        """Remove a value, if there is one."""
        operation = decode_delete(call.exchange, *await self._target(call))
        await storage_for(call.exchange, self._storage).delete(operation)
        return answer_with({})

    async def list(self, call: Call) -> Answer:
        """Answer with one page of keys, in the order of their UTF-8 bytes."""
        namespace = await call.namespace(self._namespaces, fresh=False)
        operation = decode_listing(call.query(), namespace.name, self._limits)
        return encode_page(await list_page(storage_for(call.exchange, self._storage), operation))

    async def bulk_put(self, call: Call) -> Answer:
        """Write many values, all of which are checked before the first is written."""
        limits, user = self._limits, call.exchange.user
        namespace = await self._writable(call)
        body = await call.body(limits, limits.bulk_bytes, "a bulk put")
        now = self._storage.clock()
        return await self._run(call, await decode_bulk_put(body, namespace, user, limits, now))

    async def bulk_delete(self, call: Call) -> Answer:
        """Remove many values."""
        limits, user = self._limits, call.exchange.user
        namespace = await self._writable(call)
        body = await call.body(limits, delete_bytes(limits), "a bulk delete")
        return await self._run(call, await decode_bulk_delete(body, namespace, user, limits))

    async def bulk_get(self, call: Call) -> Answer:
        """Answer with many values, as text or as JSON."""
        namespace = (await call.namespace(self._namespaces, fresh=False)).name
        call.exchange.user.check_somewhere(namespace, "read")
        asked = decode_bulk_get(await call.body(self._limits, SMALL_BYTES, "a bulk get"))
        batch = batch_of(asked, namespace, self._limits)
        results = await storage_for(call.exchange, self._storage).batch(batch)
        call.exchange.hold(sum(len(one.value) for one in results if isinstance(one, Entry)))
        return answer_with(BulkValues(encode_values(asked, batch, results, with_expiration=True)))

    async def _target(self, call: Call, *, fresh: bool = True) -> tuple[str, str]:
        namespace = await call.namespace(self._namespaces, fresh=fresh)
        self._limits.check_key(call.key)
        return namespace.name, call.key

    async def _writable(self, call: Call) -> str:
        namespace = (await call.namespace(self._namespaces)).name
        call.exchange.user.check_somewhere(namespace, "write")
        return namespace

    async def _entry(self, call: Call) -> Entry | None:
        operation = Get(*await self._target(call, fresh=False))
        return await storage_for(call.exchange, self._storage).get(operation)

    async def _run(self, call: Call, batches: Iterator[Batch]) -> Answer:
        """Run the batches, each by itself: a bulk request is not atomic."""
        storage = storage_for(call.exchange, self._storage)
        count = 0
        failed: list[str] = []
        for batch in batches:
            results = await storage.batch(batch)
            for result in results:
                if isinstance(result, StorageError):
                    self._failed(result)
            count += len(results)
            failed += failed_keys(batch, results)
        return answer_with(BulkResult(count - len(failed), failed))
