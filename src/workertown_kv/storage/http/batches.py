"""Send batches, and single operations as batches of one."""

from collections.abc import Mapping, Sequence
from typing import Final

from ...entry import Entry
from ...errors import KvError, StorageUnsupported
from ...operations import Batch, Get, Operation, Record, Result
from ...wire.batches import decode_results, encode_batch
from .connection import Request, read
from .values import KV, Values, space_of

_JSON: Final = {"Content-Type": b"application/json"}


class Batches:
    """Sends the batches of a storage to one server."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self.most: int | None = None
        """The most operations of a batch, if the server has said so."""

    async def single(self, operation: Operation, key: str | None = None) -> Result:
        """Do one operation, with this idempotency key. Raises its error."""
        (result,) = await self._sent(Batch([operation]), key)
        if isinstance(result, KvError):
            raise result
        return result

    async def run(self, batch: Batch) -> Sequence[Result]:
        """Run a batch, in parts if it has too many operations and need not be atomic."""
        most = self.most or len(batch.operations)
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

    async def recorded(self, batch: Batch, record: Record) -> Sequence[Result]:
        """Run a batch, and let the server keep its answer under the name of a record.

        A repetition gets the results of the first time, and so the same answer is made of them.
        """
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
        data = await self._values.data(request)
        return read(data, lambda text: decode_results(batch, text))
