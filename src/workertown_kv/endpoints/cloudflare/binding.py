"""`endpoints.cloudflare.binding`: the server side of what `workerd` speaks for `env.KV`.

workerd has only the client side (its `src/workerd/api/kv.c++`). It sends everything to the root of
a host, with a header field of its own, which marks its requests at any path. Its configuration adds
the header fields with the credentials and the namespace.

A Worker sees only the status of an error and the standard phrase for it. Our message would have to
be in the status line, which ASGI servers do not let an application write. So it goes to the log.
"""

import logging
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ...entry import ascii_json, whole_seconds
from ...errors import InputError, KvError, MethodNotAllowed, RequestTimeout
from ...http.answer import JSON, Answer, fields_of_error
from ...http.body import read_body
from ...http.exchange import Exchange
from ...http.path import decode_percent, raw_rest_of_path
from ...http.route import Api, Route
from ...namespaces import Namespaces
from ...operations import Delete, Get, Set
from ...options import Options
from ...storage import Storage, permitted
from ..namespace import namespace_of
from .bodies import SMALL_BYTES
from .bulk_get import bulk_get, decoded_ask
from .errors import NO_SUCH_KEY, NOT_FOUND, CloudflareError, invalid, translate
from .limits import MIN_CACHE_TTL, Limits
from .listing import encoded_cursor, listed
from .put_body import discard, is_forsaken
from .query import lenient_query

_LOG: Final = logging.getLogger("workertown_kv")

MARK: Final = b"cf-kv-flprod-405"
"""The header field that only workerd sends."""

DISCARDED_BYTES: Final = 128 * 1024 * 1024
"""How much of the body of a refused put is read all the same: what a Worker has of memory."""

HANG_UP_SECONDS: Final = 0.05
"""How long a put of unknown length waits for workerd to hang up."""

_METADATA: Final = b"cf-kv-metadata"
_BYTES: Final = (b"content-type", b"application/octet-stream")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")


class _Key(Struct, omit_defaults=True, gc=False):
    name: str
    expiration: int | UnsetType = UNSET
    metadata: str | UnsetType = UNSET
    """JSON, as text: workerd parses it."""


class _Page(Struct):
    keys: list[_Key]
    list_complete: bool
    cursor: str | UnsetType = UNSET
    cacheStatus: None = None  # noqa: N815  (workerd's name)


def _line(exchange: Exchange, error: Exception, request_id: str) -> Answer:
    """Return an error as a line of text, and log it: workerd shows it to nobody."""
    if not isinstance(error, KvError) or request_id:
        status, message = 500, f"Internal error (request id {request_id})"
    else:
        status, code, message = translate(error)
        if status == 404 and code != NO_SUCH_KEY:
            # By 404, workerd knows a key that has no value. A namespace that is missing is no key.
            status = 400
        if code != NO_SUCH_KEY:
            path = exchange.scope.get("raw_path", exchange.scope["path"])
            _LOG.info("%.20s %.1024s refused: %d %.1024s", exchange.method, path, status, message)
    return Answer(status, [_TEXT, *fields_of_error(error, request_id)], (message.encode(),))


BINDING_API: Final = Api(_line)


class Binding(Route):
    """The route of the group: what workerd sends, and all paths below `prefix`."""

    def __init__(
        self, options: Options, storage: Storage, namespaces: Namespaces, prefix: str
    ) -> None:
        path = prefix.rstrip("/") + "/"
        super().__init__(BINDING_API, path, {}, rest="key", mark=MARK)
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

    async def answer(self, exchange: Exchange) -> Answer:
        method = exchange.method
        raw = self._raw_key(exchange)
        if method == "POST" and raw == b"bulk/get":
            return await self._bulk_get(exchange)
        if method == "GET" and not raw:
            return await self._list(exchange)
        if method in ("GET", "HEAD"):
            return await self._get(decode_percent(raw, "path"), exchange)
        if method == "PUT":
            return await self._put_whole(raw, exchange)
        if method == "DELETE":
            return await self._delete(decode_percent(raw, "path"), exchange)
        raise MethodNotAllowed(method, ("DELETE", "GET", "HEAD", "PUT"))

    def _raw_key(self, exchange: Exchange) -> bytes:
        if MARK not in exchange.fields:
            return raw_rest_of_path(exchange, self.path)
        # workerd encodes every slash of a key, so one that stands as it is was put there by a
        # proxy, or is that of a bulk get.
        return raw_rest_of_path(exchange, "/").removeprefix(self.path[1:].encode())

    async def _get(self, key: str, exchange: Exchange) -> Answer:
        _check_cache_ttl(lenient_query(exchange).get("cache_ttl"))
        self._limits.check_key(key)
        namespace = await namespace_of(exchange, self._namespaces, fresh=False)
        entry = await permitted(self._storage, exchange.user).get(Get(namespace, key))
        if entry is None:
            raise CloudflareError(404, NO_SUCH_KEY, NOT_FOUND)
        headers = [_BYTES]
        if entry.expires_at is not None:
            headers.append((b"cf-expiration", str(whole_seconds(entry.expires_at)).encode()))
        if entry.metadata is not None:
            headers.append((_METADATA, ascii_json(entry.metadata).encode()))
        return Answer(200, headers, (entry.value,))

    async def _list(self, exchange: Exchange) -> Answer:
        asked = lenient_query(exchange)
        namespace = await namespace_of(exchange, self._namespaces, fresh=False)
        page = await listed(
            permitted(self._storage, exchange.user),
            namespace,
            asked.get("prefix", ""),
            self._limits.page(asked.get("key_count_limit"), least=1),
            asked.get("cursor"),
        )
        keys = [
            _Key(
                info.key,
                UNSET if info.expires_at is None else whole_seconds(info.expires_at),
                UNSET if info.metadata is None else info.metadata.decode(),
            )
            for info in page.keys
        ]
        cursor = encoded_cursor(page.cursor)
        return _json(_Page(keys, not cursor, cursor or UNSET))

    async def _put_whole(self, raw: bytes, exchange: Exchange) -> Answer:
        try:
            return await self._put(decode_percent(raw, "path"), exchange)
        except RequestTimeout:
            raise
        except KvError:
            # workerd sends the whole body before it listens. Were the connection closed on it, the
            # Worker would see that it was lost, and not why.
            await discard(exchange, DISCARDED_BYTES, seconds=self._limits.body_seconds)
            raise

    async def _put(self, key: str, exchange: Exchange) -> Answer:
        limits, user = self._limits, exchange.user
        limits.check_key(key)
        namespace = await namespace_of(exchange, self._namespaces)
        # The storage would refuse it too, but only once the whole body is here.
        user.check_key("write", namespace, key)
        asked = lenient_query(exchange)
        expires_at = limits.expires_at(
            asked.get("expiration_ttl"), asked.get("expiration"), self._storage.clock()
        )
        metadata = exchange.fields.get(_METADATA)
        kept = None if metadata is None else limits.metadata(metadata)
        seconds = limits.body_seconds
        value = await read_body(exchange, limits.value_bytes, "a value", seconds=seconds)
        # workerd ends a stream that broke off as if it were whole, and hangs up.
        may_be_half = MARK in exchange.fields and b"content-length" not in exchange.fields
        if may_be_half and await is_forsaken(exchange, seconds=HANG_UP_SECONDS):
            raise InputError("The body ended before it was whole")
        await permitted(self._storage, user).set(
            Set(
                namespace=namespace,
                key=key,
                value=bytes(value),
                is_json=await limits.is_json(value),
                metadata=kept,
                expires_at=expires_at,
            )
        )
        return Answer(200, (), (b"",))

    async def _delete(self, key: str, exchange: Exchange) -> Answer:
        self._limits.check_key(key)
        namespace = await namespace_of(exchange, self._namespaces)
        await permitted(self._storage, exchange.user).delete(Delete(namespace, key))
        return Answer(200, (), (b"",))

    async def _bulk_get(self, exchange: Exchange) -> Answer:
        namespace = await namespace_of(exchange, self._namespaces, fresh=False)
        exchange.user.check_somewhere(namespace, "read")
        seconds = self._limits.body_seconds
        body = await read_body(exchange, SMALL_BYTES, "a bulk get", seconds=seconds)
        ask = decoded_ask(body)
        _check_cache_ttl(ask.cache_ttl)
        read = await bulk_get(
            permitted(self._storage, exchange.user),
            namespace,
            ask,
            self._limits,
            exchange,
            lossy=True,
        )
        return _json(read)


def _json(body: object) -> Answer:
    return Answer(200, (JSON,), (msgspec.json.encode(body),))


def _check_cache_ttl(text: str | None) -> None:
    """Accept what Workers KV would. Nothing is cached for so long: a read sees every write."""
    if text is None or (text.isascii() and text.isdigit() and int(text[:9]) >= MIN_CACHE_TTL):
        return
    raise invalid(
        400, f"Invalid cache_ttl of {text[:20]}. Cache TTL must be at least {MIN_CACHE_TTL}."
    )
