"""`endpoints.cloudflare.binding`: what `workerd` speaks for `env.KV`.

workerd has the client's half alone (its `src/workerd/api/kv.c++`). It sends everything to the root
of a host, with a header of its own, by which its requests are known at any path. Credentials and
the namespace come in header fields that its configuration injects.

Of an error a Worker sees the status alone, with the words that HTTP has for it: the words of ours
would have to be in the status line, which no ASGI server lets one write. So the log has them.
"""

import logging
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from ...entry import ascii_json, whole_seconds
from ...errors import InputError, KvError, MethodNotAllowed, RequestTimeout
from ...namespaces import Namespaces
from ...operations import Delete, Get, Set
from ...options import Options
from ...storage import Storage, permitted
from ..envelope import headers_of, send_bytes
from ..namespace import namespace_of
from ..request import decode_percent, header, raw_rest_of_path, read_body, route_path, user_of
from .bodies import SMALL_BYTES
from .bulk_get import bulk_get, decoded_ask
from .errors import NO_SUCH_KEY, NOT_FOUND, CloudflareError, invalid, told
from .listing import encoded_cursor, listed
from .put_body import PutBody
from .query import lenient_query
from .rules import LEAST_CACHE_TTL, Rules

_LOG: Final = logging.getLogger("workertown_kv")

MARK: Final = b"cf-kv-flprod-405"
"""The header field that only workerd sends."""

DISCARDED_BYTES: Final = 128 * 1024 * 1024
"""How much of the body of a refused put is read all the same: what a Worker has of memory."""

HANG_UP_SECONDS: Final = 0.05
"""How long a put of unknown length waits for workerd to hang up."""

_METADATA: Final = b"cf-kv-metadata"
_JSON: Final = (b"content-type", b"application/json")
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


class Binding(BaseRoute):
    """The route of the group: what workerd sends, and all paths below `prefix`."""

    def __init__(
        self, options: Options, storage: Storage, namespaces: Namespaces, prefix: str
    ) -> None:
        self.path = prefix.rstrip("/") + "/"
        self.templates = {
            self.path: frozenset({"GET"}),
            f"{self.path}bulk/get": frozenset({"POST"}),
            f"{self.path}{{key}}": frozenset({"GET", "HEAD", "PUT", "DELETE"}),
        }
        self._storage = storage
        self._namespaces = namespaces
        self._rules = Rules.of(options)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and self.covers(scope):
            return Match.FULL, {}
        return Match.NONE, {}

    def covers(self, scope: Scope) -> bool:
        """Whether this request is for the binding."""
        if header(scope, MARK) is not None:
            return True
        # Asked of every request, so what is quick to rule out comes first.
        return self.path in scope["path"] and self.has_path(route_path(scope))

    def has_path(self, path: str) -> bool:
        """Whether a path is the binding's, whoever sends the request."""
        return path.startswith(self.path)

    def template_of(self, scope: Scope) -> str:
        """Which of the templates the path of a request fits."""
        is_bulk_get = scope["method"] == "POST" and route_path(scope).endswith("/bulk/get")
        return f"{self.path}bulk/get" if is_bulk_get else f"{self.path}{{key}}"

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        raw = self._raw_key(scope)
        if method == "POST" and raw == b"bulk/get":
            await self._bulk_get(scope, receive, send)
        elif method == "GET" and not raw:
            await self._list(scope, send)
        elif method in ("GET", "HEAD"):
            await self._get(decode_percent(raw, "path"), scope, send)
        elif method == "PUT":
            await self._put_whole(raw, scope, receive, send)
        elif method == "DELETE":
            await self._delete(decode_percent(raw, "path"), scope, send)
        else:
            raise MethodNotAllowed(method, ("DELETE", "GET", "HEAD", "PUT"))

    def _raw_key(self, scope: Scope) -> bytes:
        if header(scope, MARK) is None:
            return raw_rest_of_path(scope, self.path)
        # workerd encodes every slash of a key, so one that stands as it is was put there by a
        # proxy, or is that of a bulk get.
        return raw_rest_of_path(scope, "/").removeprefix(self.path[1:].encode())

    async def _get(self, key: str, scope: Scope, send: Send) -> None:
        _check_cache_ttl(lenient_query(scope).get("cache_ttl"))
        self._rules.check_key(key)
        space = await namespace_of(scope, self._namespaces, fresh=False)
        entry = await permitted(self._storage, user_of(scope)).get(Get(space, key))
        if entry is None:
            raise CloudflareError(404, NO_SUCH_KEY, NOT_FOUND)
        headers = [_BYTES]
        if entry.expires_at is not None:
            headers.append((b"cf-expiration", str(whole_seconds(entry.expires_at)).encode()))
        if entry.metadata is not None:
            headers.append((_METADATA, ascii_json(entry.metadata).encode()))
        await send_bytes(scope, send, 200, (entry.value,), headers)

    async def _list(self, scope: Scope, send: Send) -> None:
        asked = lenient_query(scope)
        space = await namespace_of(scope, self._namespaces, fresh=False)
        page = await listed(
            permitted(self._storage, user_of(scope)),
            space,
            asked.get("prefix", ""),
            self._rules.page(asked.get("key_count_limit"), least=1),
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
        await _send_json(scope, send, _Page(keys, not cursor, cursor or UNSET))

    async def _put_whole(self, raw: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        body = PutBody(receive)
        try:
            await self._put(decode_percent(raw, "path"), scope, body, send)
        except RequestTimeout:
            raise
        except KvError:
            # workerd sends the whole body before it listens. Were the connection closed on it, the
            # Worker would see that it was lost, and not why.
            await body.discard(DISCARDED_BYTES, seconds=self._rules.body_seconds)
            raise

    async def _put(self, key: str, scope: Scope, body: PutBody, send: Send) -> None:
        rules, user = self._rules, user_of(scope)
        rules.check_key(key)
        space = await namespace_of(scope, self._namespaces)
        # The storage would refuse it too, but only once the whole body is here.
        user.check_key("write", space, key)
        asked = lenient_query(scope)
        expires_at = rules.expires_at(
            asked.get("expiration_ttl"), asked.get("expiration"), self._storage.clock()
        )
        metadata = header(scope, _METADATA)
        kept = None if metadata is None else rules.metadata(metadata)
        value = await read_body(
            scope, body, rules.value_bytes, "a value", seconds=rules.body_seconds
        )
        # workerd ends a stream that broke off as if it were whole, and hangs up.
        may_be_half = header(scope, MARK) is not None and header(scope, b"content-length") is None
        if may_be_half and await body.is_forsaken(seconds=HANG_UP_SECONDS):
            raise InputError("The body ended before it was whole")
        await permitted(self._storage, user).set(
            Set(
                namespace=space,
                key=key,
                value=bytes(value),
                is_json=await rules.is_json(value),
                metadata=kept,
                expires_at=expires_at,
            )
        )
        await send_bytes(scope, send, 200, (b"",), ())

    async def _delete(self, key: str, scope: Scope, send: Send) -> None:
        self._rules.check_key(key)
        space = await namespace_of(scope, self._namespaces)
        await permitted(self._storage, user_of(scope)).delete(Delete(space, key))
        await send_bytes(scope, send, 200, (b"",), ())

    async def _bulk_get(self, scope: Scope, receive: Receive, send: Send) -> None:
        space = await namespace_of(scope, self._namespaces, fresh=False)
        user_of(scope).check_somewhere(space, "read")
        body = await read_body(
            scope, receive, SMALL_BYTES, "a bulk get", seconds=self._rules.body_seconds
        )
        ask = decoded_ask(body)
        _check_cache_ttl(ask.cache_ttl)
        read = await bulk_get(
            permitted(self._storage, user_of(scope)),
            space,
            ask,
            self._rules,
            scope,
            lossy=True,
        )
        await _send_json(scope, send, read)


async def send_line(scope: Scope, send: Send, error: Exception, request_id: str = "") -> None:
    """Answer with an error as a line of text, and tell the log: workerd shows it to nobody."""
    if not isinstance(error, KvError) or request_id:
        status, message = 500, f"Internal error (request id {request_id})"
    else:
        status, code, message = told(error)
        if status == 404 and code != NO_SUCH_KEY:
            # By 404, workerd knows a key that has no value. A namespace that is missing is no key.
            status = 400
        if code != NO_SUCH_KEY:
            path = scope.get("raw_path", scope["path"])
            _LOG.info("%.20s %.1024s refused: %d %.1024s", scope["method"], path, status, message)
    headers = [_TEXT, *headers_of(error, request_id)]
    await send_bytes(scope, send, status, (message.encode(),), headers)


async def _send_json(scope: Scope, send: Send, answer: object) -> None:
    await send_bytes(scope, send, 200, (msgspec.json.encode(answer),), [_JSON])


def _check_cache_ttl(text: str | None) -> None:
    """Accept what Workers KV would. Nothing is cached for so long: a read sees every write."""
    if text is None or (text.isascii() and text.isdigit() and int(text[:9]) >= LEAST_CACHE_TTL):
        return
    raise invalid(
        400, f"Invalid cache_ttl of {text[:20]}. Cache TTL must be at least {LEAST_CACHE_TTL}."
    )
