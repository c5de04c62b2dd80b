"""`kv()` and the server that it makes: the only place that wires the rooms together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ..access import (
    AccessLog,
    AddressFilter,
    Cors,
    RateLimit,
    allowed_origins,
    client_address,
    configured_limiter,
    configured_report,
)
from ..auth import ApiKey, Guard, configured_strategies
from ..endpoints.envelope import ErrorBoundary
from ..endpoints.memory import Memory, MemoryLimit
from ..endpoints.open_api import document
from ..endpoints.public import LIVE, describe_public, public_routes
from ..endpoints.request import route_path
from ..endpoints.resource import Resource
from ..errors import NotFound, StorageError
from ..files import Files
from ..namespaces import Namespaces
from ..options import Options, parse_layers, unread_variables
from ..runtime import Runtime, resolve_runtime
from ..storage import CachedStorage, Health
from .background import Background, leave_task
from .doors import check_apart, doors_of, methods_at, template_of
from .event_loop import UsedLoop
from .layers import layers_of
from .memory import memory_for

if TYPE_CHECKING:
    import httpx2

WARNINGS_SECONDS: Final = 5.0
"""How long a storage may take to say what an operator should know."""

LEAVE_SECONDS: Final = 1.0
"""How long a storage may take to let go of what belongs to an event loop that has ended."""

_DAY_SECONDS: Final = 86_400.0

_LOG: Final = logging.getLogger("workertown_kv")


def kv(options: Mapping[str, object] | Options | None = None, **named: object) -> "Server":
    """A key/value server: every option has a default, and every default can be changed.

    Options are one object, keywords, or both, and are merged deeply over those of the environment
    (`KV_OPTIONS__…`), over those of the file that `KV_CONFIG` names, over the defaults. Raises
    `OptionsError` for one that is wrong, and warns of variables whose names are nearly right.
    """
    server = kv_from(Files(), options, **named)
    for variable in unread_variables(server.options):
        # Others may well be of the program around.
        if variable.near is not None:
            _LOG.warning("%s", variable.sentence)
    return server


def kv_from(
    files: Files, options: Mapping[str, object] | Options | None = None, **named: object
) -> "Server":
    """Make a server as `kv()` does, with files that may have been read already."""
    return Server(parse_layers(layers_of(options, named, files)), files)


class Server(Starlette):
    """A Starlette application, which can also be called in process.

    Its storage is opened with the application's lifespan or, where nobody runs that, with the
    first request.
    """

    def __init__(self, options: Options, files: Files) -> None:
        self.options = options
        self.runtime: Runtime = resolve_runtime(options)
        self.strategies = configured_strategies(options, self.runtime.storage.clock, files)
        self._report = configured_report(options, lambda scope: template_of(self.routes, scope))
        storage = self.runtime.storage
        self.namespaces = Namespaces(storage, options.cloudflare.accounts)
        self.health = Health(storage, background=self.runtime.background)
        self._background = Background(storage, self.namespaces, self.health)
        cached = storage if options.cache is False else CachedStorage(storage, options.cache)
        strategies = {one.name: one.challenge for one in self.strategies}
        self._challenges = strategies or {ApiKey.name: ApiKey.challenge}
        jwt = options.auth.jwt
        self._fields = {"jwt": jwt.header} if jwt is not False and jwt.has_own_field else {}
        in_authorization = [
            one for name, one in self._challenges.items() if name not in self._fields
        ]
        self._doors = doors_of(
            options, storage, cached, self.namespaces, self.health, in_authorization
        )
        self._errors = (self._report, self._doors.send_error_of, self.health.failed)
        self._boundary = Middleware(ErrorBoundary, *self._errors)
        self._address_of = client_address(options.access.trusted_proxies)
        self._is_allowed_origin = allowed_origins(options.cors)
        self._limiter = configured_limiter(options)
        self._opening: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._used_loop = UsedLoop()
        self._opened_on: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Task[None] | None = None
        self.warns = True
        """Whether opening for the first time logs what the storage warns of."""
        public = self._public()
        self._public_paths = frozenset(route.path for route in public)
        check_apart(options, self._doors, public)
        super().__init__(
            routes=[*self._doors.routes(), *public],
            middleware=[*self._access(), *self._guard(self._public_paths)],
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
        """Open the storage and, where the runtime lets it, sweep it; harmless when repeated.

        It is open for the running event loop, and closes where that ends by cancelling its tasks,
        as `asyncio.run` does. The next event loop opens it again.
        """
        self._used_loop.claim()
        async with self._lock():
            loop = asyncio.get_running_loop()
            if self._opened_on is loop:
                return
            if self._opened_on is not None:
                await self._leave()
            await self.runtime.storage.open()
            self._opened_on = loop
            self.health.opened()
            if self.warns:
                self.warns = False
                await self.warn()
            if self.runtime.background:
                self._background.start()
                self._ending = asyncio.create_task(self._close_with_loop())

    async def close(self) -> None:
        """Finish what has been accepted and close the storage; harmless when repeated."""
        self._used_loop.claim()
        async with self._lock():
            if self._opened_on is asyncio.get_running_loop():
                self._opened_on = None
                await self._background.stop()
                ending, self._ending = self._ending, None
                if ending is not None and ending is not asyncio.current_task():
                    ending.cancel()
                await self.runtime.storage.close()
                for one in (self._limiter, self._report):
                    if one is not None:
                        await one.close()
            elif self._opened_on is not None:
                await self._leave()
            self._used_loop.release()

    async def _close_with_loop(self) -> None:
        try:
            while True:  # noqa: ASYNC110  (it waits for its end, not for an event)
                # The event loop refers to a timer. A future that only this task refers to would be
                # collected with it where a process ends without ending its loop, with a warning.
                await asyncio.sleep(_DAY_SECONDS)
        except asyncio.CancelledError:
            await self.close()
            raise

    async def _leave(self) -> None:
        """Let go of what belongs to an event loop that has ended without cancelling its tasks."""
        self._opened_on = None
        self._background.leave()
        if self._ending is not None:
            leave_task(self._ending)
        for one in (self.runtime.storage, self._limiter):
            # What belongs to another event loop may raise anything. It is not used again.
            with suppress(Exception):
                async with asyncio.timeout(LEAVE_SECONDS):
                    if one is not None:
                        await one.close()

    async def warn(self) -> None:
        """Log what an operator should know about the open storage."""
        try:
            async with asyncio.timeout(WARNINGS_SECONDS):
                sentences = await self.runtime.storage.warnings()
        except Exception as error:  # noqa: BLE001  (what is wrong, the checks of its health tell)
            _LOG.info("The storage does not say what to warn of: %s", error)
            return
        for sentence in sentences:
            _LOG.warning("%s", sentence)

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
        if self._opened_on is not asyncio.get_running_loop() and scope["type"] != "lifespan":
            try:
                await self._open_for(scope)
            except Exception as error:  # noqa: BLE001  (whatever it is, it gets an answer)
                await self._answer_with(error)(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    async def _open_for(self, scope: Scope) -> None:
        """Open the storage for a request. What is public is answered without it, too."""
        path = route_path(scope)
        if path not in self._public_paths:
            await self.open()
        elif not path.endswith(LIVE):  # it answers, however long the storage takes to open
            try:
                await self.open()
            except StorageError as error:
                self.health.not_opened(error)

    def _answer_with(self, error: Exception) -> ASGIApp:
        async def failing(scope: Scope, receive: Receive, send: Send) -> None:
            raise error

        boundary = ErrorBoundary(failing, *self._errors)
        cors = self.options.cors
        return boundary if cors is False else Cors(boundary, cors, self._is_allowed_origin)

    def _public(self) -> list[Resource]:
        options = self.options
        if options.endpoints.public is False:
            return []
        prefix = options.path(options.endpoints.public)
        access = options.access
        refusals = {403: access.ip is not False, 429: access.rate_limit is not False}
        everywhere = [status for status, on in refusals.items() if on]
        described = [*self._doors.described, describe_public(prefix)]
        whole = partial(document, described, self._challenges, everywhere, self._fields)
        return public_routes(self.health, whole, prefix)

    def _access(self) -> Iterator[Middleware]:
        """What every request passes first, from the outside to the inside."""
        options = self.options
        if options.logger is not False:
            yield Middleware(AccessLog, options.logger)
        yield self._boundary
        if options.cors is not False:
            # A boundary inside as well, so that errors too are answers that a page can read.
            yield Middleware(Cors, options.cors, self._is_allowed_origin)
            yield self._boundary
        if options.access.ip is not False:
            yield Middleware(AddressFilter, options.access.ip, self._address_of)

    def _guard(self, public_paths: frozenset[str]) -> Iterator[Middleware]:
        """The guard, with what limits the rate in front of it or, where it counts users, behind."""
        doors = self._doors
        guard = Middleware(
            Guard,
            self.strategies,
            self.options.auth,
            lambda scope: route_path(scope) in public_paths and not doors.is_binding(scope),
            other_credentials=doors.credentials_of,
            is_allowed_origin=self._is_allowed_origin,
            methods_of=lambda scope: methods_at(self.routes, scope),
        )
        memory = Middleware(MemoryLimit, Memory(memory_for(self.options.limits)))
        if self._limiter is None:
            yield guard
            yield memory
            return
        # A boundary of its own inside, so that errors too are answers that tell the rate limit.
        limit = (Middleware(RateLimit, self._limiter, self._address_of), self._boundary)
        yield from (guard, *limit) if self._limiter.by == "user" else (*limit, guard)
        yield memory


@asynccontextmanager
async def _lifespan(server: Server) -> AsyncIterator[None]:
    if server.runtime.background:
        async with server:
            yield
    else:
        yield  # it is one request's, and others may be under way


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    server: Server = scope["app"]
    kv = server.options.endpoints.v1.kv
    where = "" if kv is False else f"; values are at {server.options.path(kv)}/{{key}}"
    raise NotFound(f"There is nothing at {scope['path'][:100]}{where}")
