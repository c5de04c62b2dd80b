"""Routes: paths, and the methods that they have."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from ..errors import MethodNotAllowed
from .request import route_path

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class Resource(BaseRoute):
    """One path, or all paths below it, with a handler for each method.

    `rest` names what follows in the paths below.

    A handler is a plain ASGI callable, without a request object that the hot path has no use
    for. Starlette's own `Route` cannot carry keys: its `path` parameter ends at a line feed.
    """

    def __init__(
        self, path: str, handlers: Mapping[str, Handler], *, rest: str | None = None
    ) -> None:
        self.path = path
        self.templates: Mapping[str, frozenset[str]] = {
            path + (f"{{{rest}}}" if rest else ""): frozenset(handlers)
        }
        """The paths as a description has them, and the methods of each."""
        self._handlers = dict(handlers)
        self._below = rest is not None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and self.has_path(route_path(scope)):
            return Match.FULL, {}
        return Match.NONE, {}

    def has_path(self, path: str) -> bool:
        """Whether this route is the one of a path."""
        return path.startswith(self.path) if self._below else path == self.path

    def template_of(self, scope: Scope) -> str:
        """Which of the templates the path of a request fits."""
        return next(iter(self.templates))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._handlers.get(scope["method"])
        if handler is None:
            raise MethodNotAllowed(scope["method"], sorted(self._handlers))
        await handler(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        raise NoMatchFound(name, path_params)
