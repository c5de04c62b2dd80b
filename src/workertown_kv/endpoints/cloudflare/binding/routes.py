"""Define the route of the workerd binding, and its handlers."""

from collections.abc import Awaitable
from typing import Final

from ....entry import Entry
from ....errors import InputError, KvError, MethodNotAllowed, RequestTimeout
from ....http.answer import Answer
from ....http.body import read_body
from ....http.exchange import Exchange
from ....http.fields import NAMESPACE_FIELD
from ....http.path import decode_percent, raw_rest_of_path
from ....http.route import PLAIN_READS, Route
from ....http.trail import storage_for
from ....namespaces import Namespaces
from ....operations import Delete, Get
from ....options import Options
from ....storage import Storage
from ...namespace import namespace_of
from ..bodies import SMALL_BYTES
from ..bulk_get import batch_of, encode_values
from ..limits import Limits
from ..listing import list_page
from ..put import decode_put
from .codec import (
    DONE,
    check_cache_ttl,
    decode_head,
    decode_keys,
    decode_listing,
    encode_entry,
    encode_object,
    encode_page,
)
from .failure import BINDING_API
from .put_body import discard, is_forsaken

MARK: Final = b"cf-kv-flprod-405"
"""The header field that only workerd sends."""

DISCARDED_BYTES: Final = 128 * 1024 * 1024
"""How much of the body of a refused put the server still reads: the memory of a Worker."""

HANG_UP_SECONDS: Final = 0.05
"""How long a put of unknown length waits for workerd to hang up."""


class Binding(Route):
    """The route of all that workerd sends, and of all paths below `prefix`."""

    def __init__(
        self, options: Options, storage: Storage, namespaces: Namespaces, prefix: str
    ) -> None:
        path = prefix.rstrip("/") + "/"
        super().__init__(BINDING_API, path, {}, rest="key", mark=MARK, plain_methods=PLAIN_READS)
        self.templates = {
            path: frozenset({"GET"}),
            f"{path}bulk/get": frozenset({"POST"}),
            f"{path}{{key}}": frozenset({"GET", "HEAD", "PUT", "DELETE"}),
        }
        self._storage = storage
        self._namespaces = namespaces
        self._limits = Limits.of(options)

    def template_of(self, exchange: Exchange) -> str:
        is_bulk_get = exchange.method == "POST" and exchange.path.endswith("/bulk/get")
        return f"{self.path}bulk/get" if is_bulk_get else f"{self.path}{{key}}"

    def key_of(self, exchange: Exchange) -> str | None:
        raw = self._raw_key(exchange)
        is_bulk_get = exchange.method == "POST" and raw == b"bulk/get"
        return None if is_bulk_get else decode_percent(raw, "path") or None

    def target_of(self, exchange: Exchange) -> str | None:
        return exchange.fields.get(NAMESPACE_FIELD, b"").decode(errors="replace") or None

    def answer(self, exchange: Exchange) -> Awaitable[Answer]:
        method = exchange.method
        raw = self._raw_key(exchange)
        if method == "POST" and raw == b"bulk/get":
            return self._bulk_get(exchange)
        if method == "GET" and not raw:
            return self._list(exchange)
        if method in ("GET", "HEAD"):
            return self._get(raw, exchange)
        if method == "PUT":
            return self._put(raw, exchange)
        if method == "DELETE":
            return self._delete(raw, exchange)
        raise MethodNotAllowed(method, ("DELETE", "GET", "HEAD", "PUT"))

    def _raw_key(self, exchange: Exchange) -> bytes:
        if MARK not in exchange.fields:
            return raw_rest_of_path(exchange, self.path)
        # workerd encodes every slash of a key. So a proxy added a slash that is not encoded, or
        # it is the slash of a bulk get.
        return raw_rest_of_path(exchange, "/").removeprefix(self.path[1:].encode())

    async def _get(self, raw: bytes, exchange: Exchange) -> Answer:
        check_cache_ttl(exchange)
        operation = Get(*await self._target(raw, exchange, fresh=False))
        return encode_entry(await storage_for(exchange, self._storage).get(operation))

    async def _list(self, exchange: Exchange) -> Answer:
        namespace = await namespace_of(exchange, self._namespaces, fresh=False)
        operation = decode_listing(exchange, namespace, self._limits)
        return encode_page(await list_page(storage_for(exchange, self._storage), operation))

    async def _put(self, raw: bytes, exchange: Exchange) -> Answer:
        try:
            return await self._write(raw, exchange)
        except RequestTimeout:
            raise
        except KvError:
            # workerd sends the whole body before it listens. If the server closed the connection
            # on it, the Worker would see that it was lost, and not why.
            await discard(exchange, DISCARDED_BYTES, seconds=self._limits.body_seconds)
            raise

    async def _delete(self, raw: bytes, exchange: Exchange) -> Answer:
        operation = Delete(*await self._target(raw, exchange))
        await storage_for(exchange, self._storage).delete(operation)
        return DONE

    async def _bulk_get(self, exchange: Exchange) -> Answer:
        namespace = await namespace_of(exchange, self._namespaces, fresh=False)
        exchange.user.check_somewhere(namespace, "read")
        seconds = self._limits.body_seconds
        asked = decode_keys(await read_body(exchange, SMALL_BYTES, "a bulk get", seconds=seconds))
        batch = batch_of(asked, namespace, self._limits)
        results = await storage_for(exchange, self._storage).batch(batch)
        exchange.hold(sum(len(one.value) for one in results if isinstance(one, Entry)))
        return encode_object(encode_values(asked, batch, results, is_lossy=True))

    async def _target(
        self, raw: bytes, exchange: Exchange, *, fresh: bool = True
    ) -> tuple[str, str]:
        key = decode_percent(raw, "path")
        self._limits.check_key(key)
        return await namespace_of(exchange, self._namespaces, fresh=fresh), key

    async def _write(self, raw: bytes, exchange: Exchange) -> Answer:
        namespace, key = await self._target(raw, exchange)
        head = decode_head(exchange, namespace, key, self._limits, self._storage.clock())
        operation = await decode_put(head, await self._value(exchange), self._limits)
        await storage_for(exchange, self._storage).set(operation)
        return DONE

    async def _value(self, exchange: Exchange) -> bytes | bytearray:
        limits = self._limits
        value = await read_body(
            exchange, limits.value_bytes, "a value", seconds=limits.body_seconds
        )
        # workerd ends a stream that broke off as if it were whole, and hangs up.
        may_be_half = MARK in exchange.fields and b"content-length" not in exchange.fields
        if may_be_half and await is_forsaken(exchange, seconds=HANG_UP_SECONDS):
            raise InputError("The body ended before it was whole")
        return value
