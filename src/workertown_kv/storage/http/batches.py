"""Send batches, and single operations as batches of one."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from sys import maxsize
from typing import Final

from ...entry import Entry
from ...errors import KvError, NamespaceNotFound, StorageError, StorageUnsupported
from ...operations import Batch, Get, Operation, Record, Result, Set
from ...wire.batches import body_bytes, decode_results, encode_batch
from ..batch import is_down, not_tried
from ..gathered_operations import Write
from .connection import KV, Request, read
from .put import LARGE_BYTES, put_request, version_in
from .values import Values, space_of

_JSON: Final = {"Content-Type": b"application/json"}


class Batches:
    """Sends the batches of a storage to one server."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self.most: int | None = None
        """The most operations of a batch, if the server has said so."""
        self.most_bytes: int | None = None
        """The largest body of a batch, if the server has said so."""

    async def write(self, operation: Write) -> Result:
        """Do one write, with a large value as the body of the request. Raises its error."""
        if isinstance(operation, Set) and len(operation.value) > LARGE_BYTES:
            request = put_request(KV, operation, space_of(operation.namespace))
            if request is not None:
                return version_in(await self._values.response(request))
        return await self.single(operation)

    async def single(self, operation: Operation, key: str | None = None) -> Result:
        """Do one operation, with this idempotency key. Raises its error."""
        (result,) = await self._sent(Batch([operation]), key)
        if isinstance(result, KvError):
            raise result
        return result

    async def run(self, batch: Batch) -> Sequence[Result]:
        """Run a batch, in parts if it is too large for the server and need not be atomic."""
        if batch.atomic:
            return await self._sent(batch) if batch.operations else []
        results: list[Result] = []
        failures: list[KvError] = []
        is_done = False
        async for some, found in self.run_parts(batch):
            if isinstance(found, KvError):
                failures.append(found)
                results += [found] * len(some)
            else:
                is_done = True
                results += found
        if failures and not is_done:
            raise failures[0]
        return results

    async def run_parts(
        self, batch: Batch
    ) -> AsyncIterator[tuple[Sequence[Operation], Sequence[Result] | KvError]]:
        """Run a batch in parts that are as large as the server permits.

        Yields the operations of each part, and their results or the error of the part as a whole.
        """
        left = batch.read_bytes
        has_answered = True
        for some in self._parts(batch.operations):
            if not has_answered:
                (unavailable,) = not_tried(1)
                yield some, unavailable
                continue
            try:
                found = await self._part(some, left)
            except KvError as error:
                has_answered = not is_down(error)
                yield some, error
            else:
                left -= min(left, sum(len(one.value) for one in found if isinstance(one, Entry)))
                yield some, found

    async def recorded(self, batch: Batch, record: Record) -> Sequence[Result]:
        """Run a batch, and let the server keep its answer under the name of a record.

        A repetition gets the results of the first time, and so the same answer is made of them.
        """
        fields = {**_JSON, "Idempotency-Request": record.request.encode()}
        results = await self._sent(batch, record.key, fields)
        record.make(results)
        return results

    def _parts(self, operations: Sequence[Operation]) -> Iterator[Sequence[Operation]]:
        most = self.most or len(operations)
        most_bytes = self.most_bytes or maxsize
        part: list[Operation] = []
        size = 0
        for operation in operations:
            own = body_bytes(operation)
            if part and (len(part) == most or size + own > most_bytes):
                yield part
                part, size = [], 0
            part.append(operation)
            size += own
        if part:
            yield part

    async def _part(self, operations: Sequence[Operation], read_bytes: int) -> Sequence[Result]:
        first = operations[0]
        if len(operations) > 1 or not isinstance(first, Set):
            return await self._sent(Batch(operations, read_bytes=read_bytes))
        try:
            # It may be too large for any batch.
            return [await self.write(first)]
        except (StorageError, NamespaceNotFound):
            raise
        except KvError as error:
            return [error]

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
        data = await self._values.data(request)
        return read(data, lambda text: decode_results(batch, text))
