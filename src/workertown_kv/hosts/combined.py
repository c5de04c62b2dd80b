"""Combine several servers into one application."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import permutations
from typing import Self

from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from ..errors import OptionsError
from ..http.path import route_path
from ..server import Server


def combine(*servers: Server) -> "Combined":
    """Return an application that passes each request to the server that has its path.

    Each server needs its own `base_path`, or endpoints that no other server has. Raises
    `OptionsError` if two servers would answer the same path.
    """
    if not servers:
        raise OptionsError("combine() has no servers; expected at least one")
    for (first, server), (second, other) in permutations(enumerate(servers, 1), 2):
        both = [path for path in _paths(other) if server.has(_request(path))]
        if both:
            raise OptionsError(
                f"The servers {first} and {second} would both answer {both[0]}; "
                "expected a base_path of its own for each, or endpoints that do not cover each "
                "other"
            )
    return Combined(servers)


class Combined:
    """Routes requests to servers that each have their own options, credentials and storage.

    Like a server, it is an ASGI application with a lifespan and a context manager for
    `async with`.
    """

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = tuple(servers)
        # The server with the longest base path comes first.
        self._by_depth = sorted(servers, key=lambda server: -len(_base(server)))
        self._entered: AsyncExitStack | None = None
        self._router = Router(lifespan=self._lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._router(scope, receive, send)
        else:
            await self._server_for(scope)(scope, receive, send)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            for server in self.servers:
                await opening.enter_async_context(server)
            self._entered = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        entered, self._entered = self._entered, None
        if entered is not None:
            await entered.aclose()

    def _server_for(self, scope: Scope) -> Server:
        """Return the server that has the path, or the server that answers 404."""
        path = f"{route_path(scope)}/"
        # Base paths are compared first, since requests of workerd are recognised by a header and
        # not by their path.
        near = [server for server in self._by_depth if path.startswith(_base(server))]
        candidates = near or self._by_depth
        return next((server for server in candidates if server.has(scope)), candidates[0])

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        async with self:
            yield


def _request(path: str) -> Scope:
    return {"type": "http", "method": "GET", "path": path, "headers": []}


def _paths(server: Server) -> Iterator[str]:
    """Yield the path of each route; of a mount, the path at which it begins."""
    for route in (*server.api_routes, *server.routes):
        yield getattr(route, "path", "/")


def _base(server: Server) -> str:
    return server.options.path("").rstrip("/") + "/"
