"""Put the other packages together into a server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from ..access import (
    AccessLog,
    AddressFilter,
    Cors,
    RateLimit,
    allowed_origins,
    client_address,
    configured_audit,
    configured_limiter,
    configured_report,
)
from ..auth import Guard, StoredApiKey, configured_strategies
from ..changes import Feed, TicketUser
from ..credentials import ApiKeys
from ..endpoints.v1.changes import ChangeHandlers
from ..errors import NotFound
from ..files import Files
from ..http.exchange import AsgiExchange, Exchange
from ..http.memory import Memory
from ..meters.board import Board
from ..meters.publisher import Publisher
from ..namespaces import namespaces_of
from ..options import Options
from ..runtime import IN_PYODIDE, Runtime, resolve_runtime
from ..storage import Health
from ..tracing import TracedStorage, configured_tracing
from ..user import User
from .apis import ELSEWHERE, RouteTable, routes_of
from .background import Background
from .caching import configured_cache
from .failures import Failures
from .lifecycle import Lifecycle
from .memory import memory_for
from .metering import Metering
from .pages import console_of, home_of
from .pipeline import Pipeline, Watcher

if TYPE_CHECKING:
    import httpx2


class Server(Starlette):
    """A Starlette application, which can also be called in process.

    The lifespan of the application opens its storage or, if no program runs the lifespan, the first
    request does. Requests for its own APIs go through `Pipeline`; of Starlette, they pass only the
    middleware that a user has added.
    """

    def __init__(self, options: Options, files: Files, metering: Metering | None = None) -> None:
        self.options = options
        self.runtime: Runtime = resolve_runtime(options)
        storage = self.runtime.storage
        self.strategies = configured_strategies(options, storage.clock, files)
        """The strategies whose credentials come from the options, the environment and files."""
        self.api_keys = ApiKeys(storage) if options.auth.has_stored_api_keys else None
        self.namespaces = namespaces_of(storage, options.cloudflare.accounts)
        self.health = Health(storage, background=self.runtime.background)
        self._tracing = tracing = configured_tracing(options)
        traced = storage if tracing is None else TracedStorage(storage, tracing)
        cache = configured_cache(options, self.runtime, traced)
        follower = cache if options.cache is not False and options.cache.follow else None
        self.feed = Feed(storage, self.health.failed)
        if follower is not None:
            self.feed.wait_seconds = follower.heartbeat_seconds
        self._metering = None
        self.publisher: Publisher | None = None
        """Publishes the numbers of this server; `None` without metrics."""
        if options.endpoints.metrics is not False and not IN_PYODIDE:
            self._metering = metering or Metering(Board())
            self.publisher = self._metering.publisher(storage)
        self.changes = (
            None
            if options.changes is False
            else ChangeHandlers(self.feed, self.namespaces, options, self._is_valid, self._renewed)
        )
        self.api_routes = routes_of(
            options,
            storage,
            cache or traced,
            self.namespaces,
            self.health,
            self.strategies,
            self.changes,
            self.api_keys,
            None if self.publisher is None else self._board,
        )
        """The routes of the APIs; `routes` has the operator's own routes."""
        limiter = configured_limiter(options)
        report = configured_report(options)
        background = Background(storage, self.namespaces, self.health, self.feed, follower)
        self.lifecycle = Lifecycle(
            storage,
            self.health,
            background,
            limiter,
            report,
            works_between_requests=self.runtime.background,
        )
        super().__init__(lifespan=_lifespan)
        self.router.redirect_slashes = False
        self.router.default = _not_found
        is_allowed_origin = allowed_origins(options.cors)
        strategies = [*self.strategies]
        if self.api_keys is not None and self.api_keys.is_possible:
            # Before JSON Web Tokens: their strategy would log each key as a wrong token.
            names = [strategy.name for strategy in strategies]
            place = names.index("jwt") if "jwt" in names else len(names)
            strategies.insert(place, StoredApiKey(self.api_keys))
        self.guard = Guard(strategies, options.auth, is_allowed_origin, clock=storage.clock)
        self.address_of = client_address(options.access.trusted_proxies)
        """Returns the address of the client that sent a request."""
        allowed = options.access.ip
        self._is_plain = not (
            self.guard.has_hooks
            or storage.needs_task
            or tracing is not None  # each request needs a context of its own
            or (limiter is not None and limiter.needs_task)
        )
        self.console = console_of(options, self.api_routes)
        """The path of the console, `None` if there is no console."""
        self._table = RouteTable(
            self.api_routes, home_of(options, self.console), self._has_own_route
        )
        self.memory = Memory(memory_for(options.limits))
        watchers: list[Watcher] = []
        if self._metering is not None and self.publisher is not None:
            watchers.append(self._metering.requests)
            self.publisher.sources += [
                (cache or storage).measurements,
                self.health.measurements,
                background.measurements,
                self.memory.measurements,
            ]
            if self.changes is not None:
                self.publisher.sources.append(self.changes.streams.measurements)
        audit = configured_audit(options, self.address_of, self.runtime.storage.file)
        if audit is not None:
            watchers.append(audit)
        if options.logger is not False:
            watchers.append(AccessLog(options.logger, self.address_of))
        self._pipeline = Pipeline(
            table=self._table,
            lifecycle=self.lifecycle,
            guard=self.guard,
            failures=Failures(report, self.health.failed),
            memory=self.memory,
            cors=None if options.cors is False else Cors(options.cors, is_allowed_origin),
            addresses=None if allowed is False else AddressFilter(allowed, self.address_of),
            limit=None if limiter is None else RateLimit(limiter, self.address_of),
            audit=audit,
            tracing=tracing,
            watchers=watchers,
            others=self._other,
            lifespan=self.router,
        )

    @property
    def plain(self) -> Pipeline | None:
        """The pipeline, for an HTTP server that answers plain requests itself.

        `None` if middleware, routes, exception handlers or hooks of the user's own take part.
        """
        if self.user_middleware or self.routes or self.exception_handlers:
            return None
        return self._pipeline if self._is_plain else None

    async def fetch(self, request: "httpx2.Request") -> "httpx2.Response":
        """Answer a request in process, without a socket."""
        import httpx2  # noqa: PLC0415  (a server that is reached over HTTP never needs it)

        transport = httpx2.ASGITransport(app=self, raise_app_exceptions=False)
        response = await transport.handle_async_request(request)
        await response.aread()
        response.request = request
        return response

    async def request(self, method: str, url: str, **given: Any) -> "httpx2.Response":
        """Make a request with the arguments of `httpx2.Request`, and return the answer of `fetch`.

        `url` may be a path. Its dot segments are resolved, as by every client; `?key=` carries keys
        with dot segments.
        """
        import httpx2  # noqa: PLC0415  (a server that is reached over HTTP never needs it)

        if url.startswith("/"):
            url = f"http://localhost{url}"
        return await self.fetch(httpx2.Request(method, url, **given))

    def has(self, scope: Scope) -> bool:
        """Return whether an API, or one of the operator's own routes, has the path of a request."""
        exchange = AsgiExchange(scope, _nothing, _nothing, self.memory)
        route = self._table.find(exchange.path, exchange.fields, exchange.method)
        return route is not ELSEWHERE or self._matches_own_route(scope)

    def watch(self, watcher: Watcher) -> None:
        """Let a watcher observe all requests from now on."""
        self._pipeline.watchers.append(watcher)

    def end_streams(self) -> None:
        """End the streams of changes for good, since the server stops, or another replaces it."""
        if self.changes is not None:
            self.changes.end(for_good=True)

    def _board(self) -> Board:
        """Return the numbers of all workers, with those of now of this process."""
        assert self._metering is not None
        assert self.publisher is not None
        self.publisher.publish()
        return self._metering.board

    def _matches_own_route(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is not Match.NONE for route in self.routes)

    def _has_own_route(self, path: str) -> bool:
        return self._matches_own_route({"type": "http", "method": "GET", "path": path})

    async def _is_valid(self, exchange: Exchange) -> bool:
        return await self.guard.is_valid(exchange)

    async def _renewed(self, user: TicketUser) -> User | None:
        return await self.guard.renewed(user)

    async def open(self) -> None:
        """Open the storage and, if the runtime allows it, sweep it. Repeating it does no harm.

        The storage is open for the running event loop, and closes when the loop ends by cancelling
        its tasks, as `asyncio.run` does. The next event loop opens it again.
        """
        await self.lifecycle.open()

    async def close(self) -> None:
        """Finish the operations under way and close the storage. Repeating it does no harm."""
        self.end_streams()
        try:
            await self.lifecycle.close()
        finally:
            if self.changes is not None:
                self.changes.end(for_good=False)  # the server may be opened again
        if self.publisher is not None:
            self.publisher.publish(gauges=False)
        if self._tracing is not None:
            await self._tracing.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Return the pipeline, with the middleware that a user has added around it."""
        app: ASGIApp = self._pipeline
        for factory, args, kwargs in reversed(self.user_middleware):
            app = factory(app, *args, **kwargs)
        return ServerErrorMiddleware(app) if self.user_middleware else app

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request that no API has to the operator's own routes."""
        handlers = {
            kind: handler
            for kind, handler in self.exception_handlers.items()
            if kind not in (500, Exception)
        }
        await ExceptionMiddleware(self.router, handlers, self.debug)(scope, receive, send)


@asynccontextmanager
async def _lifespan(server: Server) -> AsyncIterator[None]:
    if server.runtime.background:
        async with server:
            yield
    else:
        yield  # this lifespan is that of one request, and others may be under way


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    server: Server = scope["app"]
    kv = server.options.endpoints.v1.kv
    where = "" if kv is False else f"; values are at {server.options.path(kv)}/{{key}}"
    raise NotFound(f"There is nothing at {scope['path'][:100]}{where}")


async def _nothing(*_: object) -> Any:
    """Do nothing, as the connection of a request that is only matched."""
