"""Make the routes of `endpoints.v1.kv`: `{prefix}/{key}`, and `{prefix}` for the rest."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from ....entry import DEFAULT_NAMESPACE, Entry
from ....errors import StorageError
from ....http.answer import Answer
from ....http.body import check_json, read_body
from ....http.exchange import Exchange
from ....http.path import rest_of_path
from ....http.query import bad_query, query
from ....http.route import Route, StorageFailed
from ....namespaces import Namespaces
from ....options import LimitsOptions
from ....storage import Storage, permitted
from ....storage.tasks import in_task
from ...namespace import FIELD, namespace_of
from ..envelope import ENVELOPE_BYTES, NATIVE_API, data_answer
from .bodies import decode_batch, decode_put
from .collection import batch_answer_bytes, encode_results
from .listing import WHAT_TO_LIST, decode_list, encode_page, is_true, values_bytes
from .value import (
    BODY_SLACK,
    decode_delete,
    decode_get,
    encode_entry,
    encode_version,
    precondition_of_put,
    wants_minimum,
)

Target = Callable[[Exchange], Awaitable[tuple[str, str]]]
"""Finds the namespace and the key that a request names."""

_KEY: Final = ("key", "namespace")
_PLAIN: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_LISTING: Final = ("key", *WHAT_TO_LIST, "namespace")


class Targets:
    """Finds the namespace and key that a request names."""

    def __init__(self, namespaces: Namespaces, below: str) -> None:
        self._namespaces = namespaces
        self._below = below

    async def by_path(self, exchange: Exchange) -> tuple[str, str]:
        """Return the namespace, and the key from the path."""
        namespace = DEFAULT_NAMESPACE
        if exchange.query or FIELD in exchange.fields:
            namespace = await self.namespace(exchange, query(exchange, ("namespace",)))
        return namespace, rest_of_path(exchange, self._below)

    async def by_query(self, exchange: Exchange) -> tuple[str, str]:
        """Return the namespace, and the key from the query."""
        parameters = query(exchange, _KEY)
        if "key" not in parameters:
            raise bad_query("key", f"Expected the key here, or in the path: {self._below}…")
        return await self.namespace(exchange, parameters), parameters["key"]

    def namespace(self, exchange: Exchange, parameters: Mapping[str, str]) -> Awaitable[str]:
        """Return the namespace; for a read, it may have been read a moment ago."""
        is_write = exchange.method not in ("GET", "HEAD")
        return namespace_of(exchange, self._namespaces, parameters.get("namespace"), fresh=is_write)


class Values:
    """Handles requests about a value."""

    def __init__(self, target: Target, storage: Storage, limits: LimitsOptions) -> None:
        self._target = target
        self._storage = storage
        self._limits = limits

    async def get(self, exchange: Exchange) -> Answer:
        """Answer with the value."""
        operation = decode_get(*await self._target(exchange), self._limits)
        entry = await permitted(self._storage, exchange.user).get(operation)
        return encode_entry(exchange, entry)

    async def put(self, exchange: Exchange) -> Answer:
        """Write the value, and answer once it is durable."""
        namespace, key = await self._target(exchange)
        limits = self._limits
        precondition = precondition_of_put(exchange, namespace, key, limits)
        most = limits.value_bytes + BODY_SLACK
        body = await read_body(exchange, most, "the body of a PUT", seconds=limits.body_seconds)
        operation = await decode_put(
            body,
            namespace=namespace,
            key=key,
            precondition=precondition,
            limits=limits,
            now=self._storage.clock(),
        )
        del body
        is_minimal = wants_minimum(exchange)
        if not is_minimal:
            exchange.expect(len(operation.value) + ENVELOPE_BYTES)
        version = await permitted(self._storage, exchange.user).set(operation)
        return encode_version(operation, version, is_minimal=is_minimal)

    async def delete(self, exchange: Exchange) -> Answer:
        """Remove the value, if it exists."""
        operation = decode_delete(exchange, *await self._target(exchange), self._limits)
        await permitted(self._storage, exchange.user).delete(operation)
        return data_answer(b"true")


class Collection:
    """Handles requests about all keys, or about a key that the query names."""

    def __init__(
        self,
        targets: Targets,
        storage: Storage,
        limits: LimitsOptions,
        failed: StorageFailed,
    ) -> None:
        self._targets = targets
        self._storage = storage
        self._limits = limits
        self._failed = failed

    async def get_or_list(self, exchange: Exchange) -> Answer:
        """Answer with the value of the key in the query or, without a key, with a page of keys."""
        parameters = query(exchange, _LISTING)
        if "key" in parameters and not parameters.keys() <= {*_KEY}:
            raise bad_query("key", "Expected either a key or what to list, not both")
        namespace = await self._targets.namespace(exchange, parameters)
        storage = permitted(self._storage, exchange.user)
        if "key" not in parameters:
            listing = decode_list(namespace, parameters)
            if not is_true(parameters, "values"):
                return encode_page(listing, await storage.list(listing))
            page = await in_task(storage.list_entries(listing, self._limits.batch_bytes))
            exchange.hold(values_bytes(page))
            return encode_page(listing, page, with_values=True)
        operation = decode_get(namespace, parameters["key"], self._limits)
        return encode_entry(exchange, await storage.get(operation))

    async def batch(self, exchange: Exchange) -> Answer:
        """Run a batch, and answer with the result of each operation."""
        namespace = await self._targets.namespace(exchange, query(exchange, ("namespace",)))
        check_json(exchange)
        limits, user = self._limits, exchange.user
        # The storage would refuse the batch too, but only after the whole body has arrived.
        user.check_somewhere(namespace, "read", "write")
        seconds = limits.body_seconds
        body = await read_body(exchange, limits.batch_bytes, "a batch", seconds=seconds)
        batch = await decode_batch(
            body, namespace=namespace, limits=limits, now=self._storage.clock()
        )
        del body
        exchange.expect(batch_answer_bytes(batch, limits))
        results = await permitted(self._storage, user).batch(batch)
        exchange.hold(sum(len(result.value) for result in results if isinstance(result, Entry)))
        for result in results:
            if isinstance(result, StorageError):
                self._failed(result)
        return encode_results(batch, results)


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
    collection = Collection(targets, storage, limits, failed)
    # The collection comes first: with the prefix "/", its path would be that of an empty key.
    return [
        Route(
            NATIVE_API,
            prefix,
            {
                "GET": collection.get_or_list,
                "HEAD": collection.get_or_list,
                "PUT": by_query.put,
                "DELETE": by_query.delete,
                "POST": collection.batch,
            },
            plain_methods=_PLAIN,
        ),
        Route(
            NATIVE_API,
            below,
            {
                "GET": values.get,
                "HEAD": values.get,
                "PUT": values.put,
                "DELETE": values.delete,
            },
            rest="key",
            plain_methods=_PLAIN,
        ),
    ]
