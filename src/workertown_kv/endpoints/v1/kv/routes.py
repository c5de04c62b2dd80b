"""Make the routes of `endpoints.v1.kv`: `{prefix}/{key}`, and `{prefix}` for the rest."""

from typing import Final

from ....errors import StorageError
from ....http.answer import Answer
from ....http.body import check_json, read_body
from ....http.exchange import Exchange
from ....http.query import bad_query, is_true, query, query_with_list
from ....http.route import Route, StorageFailed
from ....http.trail import storage_for
from ....namespaces import Namespaces
from ....operations import Delete
from ....options import LimitsOptions
from ....storage import Storage
from ....storage.tasks import in_task
from ....updates import Target, take
from ....user import Verb
from ..envelope import ENVELOPE_BYTES, NATIVE_API, data_answer
from .about import about
from .batch_bodies import decode_batch
from .bodies import decode_put
from .collection import batch_answer_bytes, encode_results, shown_bytes
from .deletion import WHAT_TO_DELETE, count, decode_deletion, encode_deletion, is_dry_run
from .expiry import is_precise
from .idempotency import FIELD, Once
from .listing import WHAT_TO_LIST, decode_list, encode_page, read_bytes_in, values_bytes
from .patch import Patches
from .raw import check_no_fields, decode_raw, is_raw
from .reserving import reserving
from .target import KEY_PARAMETERS, Find, Targets
from .value import (
    BODY_SLACK,
    decode_delete,
    decode_get,
    encode_entry,
    encode_version,
    precondition_of_put,
    taken_answer,
    wants_bytes,
    wants_minimum,
)

_PLAIN: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_DELETION: Final = ("key", "namespace", "take", *WHAT_TO_DELETE)
_COUNTING: Final[tuple[Verb, ...]] = ("write", "list")
_LISTING: Final = (*WHAT_TO_LIST, *KEY_PARAMETERS, "about")


class Values:
    """Handles requests about a value."""

    def __init__(self, find: Find, storage: Storage, limits: LimitsOptions) -> None:
        self._find = find
        self._storage = storage
        self._limits = limits

    async def get(self, exchange: Exchange) -> Answer:
        """Answer with the value."""
        namespace, key, parameters = await self._find(exchange)
        operation = decode_get(namespace, key, self._limits)
        entry = await storage_for(exchange, self._storage).get(operation)
        if parameters:
            return encode_entry(exchange, entry, is_precise=is_precise(parameters))
        return encode_entry(exchange, entry)

    async def put(self, exchange: Exchange) -> Answer:
        """Write the value, and answer once it is durable."""
        namespace, key, parameters = await self._find(exchange)
        limits = self._limits
        precondition = precondition_of_put(exchange, namespace, key, limits)
        now = self._storage.clock()
        if is_raw(exchange):
            body = await read_body(
                exchange, limits.value_bytes, "a value", seconds=limits.body_seconds
            )
            operation = await decode_raw(
                exchange,
                body,
                parameters,
                namespace=namespace,
                key=key,
                precondition=precondition,
                limits=limits,
                now=now,
            )
        else:
            if parameters:
                check_no_fields(parameters)
            most = limits.value_bytes + BODY_SLACK
            body = await read_body(exchange, most, "the body of a PUT", seconds=limits.body_seconds)
            operation = await decode_put(
                body,
                namespace=namespace,
                key=key,
                precondition=precondition,
                limits=limits,
                now=now,
                is_precise=bool(parameters) and is_precise(parameters),
            )
        del body
        is_minimal = wants_minimum(exchange)
        if not is_minimal:
            exchange.expect(len(operation.value) + ENVELOPE_BYTES)
        version = await storage_for(exchange, self._storage).set(operation)
        return encode_version(operation, version, is_minimal=is_minimal)

    async def delete(self, exchange: Exchange) -> Answer:
        """Remove the value, if it exists; `?take=true` also answers with it."""
        namespace, key, parameters = await self._find(exchange)
        operation = decode_delete(exchange, namespace, key, self._limits)
        if parameters and is_true(parameters, "take"):
            return await self._take(exchange, operation)
        await storage_for(exchange, self._storage).delete(operation)
        return data_answer(b"true")

    async def _take(self, exchange: Exchange, operation: Delete) -> Answer:
        target = Target(operation.namespace, operation.key, operation.precondition)
        as_bytes = wants_bytes(exchange)
        taking = reserving(exchange, take(target, self._limits, as_bytes=as_bytes))
        if FIELD in exchange.fields:
            once = Once(exchange, self._storage, self._limits, operation.namespace)
            return await once.answer(
                [taking], lambda results: taken_answer(results[0], as_bytes=as_bytes)
            )
        taken = await storage_for(exchange, self._storage).update(taking)
        return taken_answer(taken, as_bytes=as_bytes)


class Collection:
    """Handles requests about all keys, or about a key that the query names."""

    def __init__(
        self,
        targets: Targets,
        by_query: Values,
        storage: Storage,
        limits: LimitsOptions,
        failed: StorageFailed,
    ) -> None:
        self._targets = targets
        self._by_query = by_query
        self._storage = storage
        self._limits = limits
        self._failed = failed

    async def get_or_list(self, exchange: Exchange) -> Answer:
        """Answer with the value of the key in the query or, without a key, with a page of keys."""
        parameters, within = query_with_list(exchange, _LISTING, "within")
        if "about" in parameters:
            return await about(parameters, self._storage, self._limits)
        if "key" in parameters and (within or not parameters.keys() <= {*KEY_PARAMETERS}):
            raise bad_query("key", "Expected either a key or what to list, not both")
        namespace = await self._targets.namespace(exchange, parameters)
        storage = storage_for(exchange, self._storage)
        precise = is_precise(parameters)
        if "key" not in parameters:
            listing = decode_list(namespace, parameters, within)
            most = read_bytes_in(parameters, self._limits.batch_bytes)
            if not is_true(parameters, "values"):
                return encode_page(listing, await storage.list(listing), is_precise=precise)
            page = await in_task(storage.list_entries(listing, most))
            exchange.hold(values_bytes(page))
            return encode_page(listing, page, with_values=True, is_precise=precise)
        operation = decode_get(namespace, parameters["key"], self._limits)
        return encode_entry(exchange, await storage.get(operation), is_precise=precise)

    async def delete(self, exchange: Exchange) -> Answer:
        """Remove the key in the query, or all keys with the prefix in the query."""
        parameters = query(exchange, _DELETION)
        if not parameters.keys() & {*WHAT_TO_DELETE}:
            if "key" not in parameters:
                raise bad_query("key", "Expected key, prefix or all=true, or a key in the path")
            return await self._by_query.delete(exchange)
        if "take" in parameters:
            raise bad_query("take", "Expected this only together with a key")
        namespace = await self._targets.namespace(exchange, parameters)
        operation = decode_deletion(exchange, namespace, parameters)
        if is_dry_run(parameters):
            for verb in _COUNTING:
                exchange.user.check_prefix(verb, namespace, operation.prefix)
            deletion = await in_task(count(self._storage, operation))
        else:
            deletion = await in_task(storage_for(exchange, self._storage).delete_prefix(operation))
        return encode_deletion(parameters, deletion)

    async def batch(self, exchange: Exchange) -> Answer:
        """Run a batch, and answer with the result of each operation."""
        parameters = query(exchange, ("namespace", "precise"))
        namespace = await self._targets.namespace(exchange, parameters)
        precise = is_precise(parameters)
        check_json(exchange)
        limits = self._limits
        # The storage would refuse the batch too, but only after the whole body has arrived.
        exchange.user.check_somewhere(namespace, "read", "write")
        seconds = limits.body_seconds
        body = await read_body(exchange, limits.batch_bytes, "a batch", seconds=seconds)
        batch = await decode_batch(
            body,
            namespace=namespace,
            limits=limits,
            now=self._storage.clock(),
            is_precise=precise,
        )
        once = None
        if FIELD in exchange.fields:
            once = Once(exchange, self._storage, limits, namespace, body)
        del body
        exchange.expect(batch_answer_bytes(batch, limits))
        if once is not None:
            return await once.answer(
                batch.operations,
                lambda results: encode_results(batch, results, is_precise=precise),
                is_atomic=batch.atomic,
            )
        results = await storage_for(exchange, self._storage).batch(batch)
        exchange.hold(sum(map(shown_bytes, results)))
        for result in results:
            if isinstance(result, StorageError):
                self._failed(result)
        return encode_results(batch, results, is_precise=precise)


def kv_routes(
    limits: LimitsOptions,
    storage: Storage,
    namespaces: Namespaces,
    prefix: str,
    failed: StorageFailed,
) -> list[Route]:
    """Return the routes of the group."""
    below = prefix.rstrip("/") + "/"
    targets = Targets(namespaces, below)
    values = Values(targets.by_path, storage, limits)
    by_query = Values(targets.by_query, storage, limits)
    patches = Patches(targets.by_path, storage, limits)
    patches_by_query = Patches(targets.by_query, storage, limits)
    collection = Collection(targets, by_query, storage, limits, failed)
    # The collection comes first: with the prefix "/", its path would be that of an empty key.
    return [
        Route(
            NATIVE_API,
            prefix,
            {
                "GET": collection.get_or_list,
                "HEAD": collection.get_or_list,
                "PUT": by_query.put,
                "PATCH": patches_by_query.patch,
                "DELETE": collection.delete,
                "POST": collection.batch,
            },
            parameters=("key", "namespace"),
            plain_methods=_PLAIN,
        ),
        Route(
            NATIVE_API,
            below,
            {
                "GET": values.get,
                "HEAD": values.get,
                "PUT": values.put,
                "PATCH": patches.patch,
                "DELETE": values.delete,
            },
            rest="key",
            parameters=("namespace",),
            plain_methods=_PLAIN,
        ),
    ]
