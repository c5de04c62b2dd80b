"""`kv()` and the server that it makes: the only place that wires the rooms together."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send

from .access import (
    AccessLog,
    AddressFilter,
    Cors,
    RateLimit,
    client_address,
    configured_limiter,
    configured_report,
)
from .auth import ApiKey, Guard, configured_strategies
from .endpoints.envelope import ErrorBoundary
from .endpoints.open_api import Json, document
from .endpoints.public import describe_public, public_routes
from .endpoints.request import route_path
from .endpoints.resource import Resource
from .endpoints.v1.admin import admin_routes, describe_admin
from .endpoints.v1.kv import describe_kv, kv_routes
from .errors import NotFound, OptionsError
from .options import Environment, Options, no_environment, parse_options
from .runtime import Runtime, resolve_runtime
from .storage import CachedStorage

if TYPE_CHECKING:
    import httpx2

SWEEP_SECONDS: Final = 1.0
SWEEP_ENTRIES: Final = 200

_LOG: Final = logging.getLogger("workertown_kv")


def kv(options: Mapping[str, object] | Options | None = None, **named: object) -> "Server":
    """A key/value server: every option has a default, and every default can be changed.

    Options are one object, keywords, or both, and are merged deeply over the defaults. Raises
    `OptionsError` for one that is wrong.
    """
    parsed = parse_options(options, named)
    if parsed.get_env is no_environment:
        parsed = msgspec.structs.replace(parsed, get_env=_os_environment)
    return Server(parsed)


def _os_environment() -> Environment:
    return os.environ


class Server(Starlette):
    """A Starlette application, which can also be called in process.

    Its storage is opened with the application's lifespan or, where nobody runs that, with the
    first request.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.runtime: Runtime = resolve_runtime(options)
        self.strategies = configured_strategies(options, self.runtime.storage.clock)
        self._report = configured_report(options)
        self._boundary = Middleware(ErrorBoundary, self._report)
        self._address_of = client_address(options.access.trusted_proxies)
        self._limiter = configured_limiter(options)
        self._opening: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._opened = False
        self._sweeper: asyncio.Task[None] | None = None
        public, guarded = self._routes()
        super().__init__(
            routes=[*guarded, *public],
            middleware=[*self._access(), *self._guard(frozenset(route.path for route in public))],
            lifespan=_lifespan,
        )
        self.router.redirect_slashes = False
        self.router.default = _not_found

    async def fetch(self, request: "httpx2.Request") -> "httpx2.Response":
        """Answer a request in process, without a socket."""
        import httpx2  # noqa: PLC0415  (a server that is reached over HTTP never needs it)

        transport = httpx2.ASGITransport(app=self, raise_app_exceptions=False)
        response = await transport.handle_async_request(request)
        await response.aread()
        response.request = request
        return response

    async def request(self, method: str, url: str, **given: Any) -> "httpx2.Response":
        """`fetch`, with the request made from what `httpx2.Request` takes.

        `url` may be a path. Its dot segments are resolved, as every client does; `?key=` carries
        keys that have some.
        """
        import httpx2  # noqa: PLC0415  (a server that is reached over HTTP never needs it)

        if url.startswith("/"):
            url = f"http://localhost{url}"
        return await self.fetch(httpx2.Request(method, url, **given))

    async def open(self) -> None:
        """Open the storage and begin to sweep it; harmless when repeated."""
        async with self._lock():
            if not self._opened:
                await self.runtime.storage.open()
                self._opened = True
                self._sweeper = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """Finish what has been accepted and close the storage; harmless when repeated."""
        async with self._lock():
            if self._opened:
                self._opened = False
                if self._sweeper is not None:
                    self._sweeper.cancel()
                await self.runtime.storage.close()
                for one in (self._limiter, self._report):
                    if one is not None:
                        await one.close()

    def _lock(self) -> asyncio.Lock:
        """What opens and closes one after the other. A lock belongs to one event loop."""
        loop = asyncio.get_running_loop()
        if self._opening is None or self._opening[0] is not loop:
            self._opening = (loop, asyncio.Lock())
        return self._opening[1]

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._opened or scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        else:
            await ErrorBoundary(self._open_and_answer, self._report)(scope, receive, send)

    async def _open_and_answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.open()
        await super().__call__(scope, receive, send)

    def _routes(self) -> tuple[list[Resource], list[Resource]]:
        options, storage = self.options, self.runtime.storage
        if options.cache is not False:
            storage = CachedStorage(storage, options.cache)
        endpoints = options.endpoints
        values: list[Resource] = []
        admin: list[Resource] = []
        public: list[Resource] = []
        paths: dict[str, Json] = {}
        if endpoints.v1.kv is not False:
            prefix = options.path(endpoints.v1.kv)
            values = kv_routes(options.limits, storage, prefix)
            paths |= describe_kv(storage, options.limits, prefix)
        if endpoints.v1.admin is not False:
            prefix = options.path(endpoints.v1.admin)
            admin = admin_routes(options, self.runtime.storage, prefix)
            paths |= describe_admin(prefix)
        if endpoints.public is not False:
            prefix = options.path(endpoints.public)
            paths |= describe_public(prefix)
            strategies = {one.name: one.challenge for one in self.strategies}
            challenges = strategies or {ApiKey.name: ApiKey.challenge}
            access = options.access
            refusals = {403: access.ip is not False, 429: access.rate_limit is not False}
            everywhere = [status for status, on in refusals.items() if on]
            public = public_routes(storage, document(paths, challenges, everywhere), prefix)
        for route in values:
            for other in (*admin, *public):
                if route.covers(other.path):
                    raise OptionsError(
                        f"endpoints.v1.kv is {endpoints.v1.kv!r}, where {other.path} would be a "
                        "key; expected endpoints that do not cover each other"
                    )
        return public, [*values, *admin]

    def _access(self) -> Iterator[Middleware]:
        """What every request passes first, from the outside to the inside."""
        options = self.options
        if options.logger is not False:
            yield Middleware(AccessLog, options.logger)
        yield self._boundary
        if options.access.ip is not False:
            yield Middleware(AddressFilter, options.access.ip, self._address_of)
        if options.cors is not False:
            # A boundary inside as well, so that errors too are answers that a page can read.
            yield Middleware(Cors, options.cors)
            yield self._boundary

    def _guard(self, public_paths: frozenset[str]) -> Iterator[Middleware]:
        """The guard, with what limits the rate in front of it or, where it counts users, behind."""
        guard = Middleware(
            Guard,
            self.strategies,
            self.options.auth,
            lambda scope: route_path(scope) in public_paths,
        )
        if self._limiter is None:
            yield guard
            return
        # A boundary of its own inside, so that errors too are answers that tell the rate limit.
        limit = (Middleware(RateLimit, self._limiter, self._address_of), self._boundary)
        yield from (guard, *limit) if self._limiter.by == "user" else (*limit, guard)

    async def _sweep(self) -> None:
        """Reclaim the space of what has expired, in small steps with pauses between them."""
        while True:
            swept = 0
            try:
                swept = await self.runtime.storage.sweep(SWEEP_ENTRIES)
            except Exception as error:  # noqa: BLE001  (the next step may succeed)
                _LOG.warning("Sweeping expired entries failed: %s", error)
            await asyncio.sleep(0.01 if swept else SWEEP_SECONDS)


@asynccontextmanager
async def _lifespan(server: Server) -> AsyncIterator[None]:
    async with server:
        yield


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    raise NotFound
