"""Define the routes of an API, and their handlers."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qs

from ..errors import MethodNotAllowed, StorageError
from ..user import User
from .answer import Answer
from .exchange import Exchange
from .fields import NAMESPACE_FIELD
from .path import rest_of_path

Handler = Callable[[Exchange], Awaitable[Answer | None]]
"""Returns the answer, or `None` once it has streamed the answer itself."""

OTHER: Final = "other"
"""The template of all paths that no API has."""

StorageFailed = Callable[[StorageError], None]
"""Called with each failure of the storage that a request has met."""


PLAIN_READS: Final = frozenset({"GET", "HEAD"})
"""The plain methods of a route whose handlers of the others read the body themselves."""


def _none(_: Exchange) -> Iterable[bytes]:
    return ()


class Api(NamedTuple):
    """Holds what the routes of an API share."""

    failure: Callable[[Exchange, Exception], Answer]
    """Makes the answer to an error: with its message or, if clients may not see that, only with the
    id of the request."""
    authorizations: Callable[[Exchange], Iterable[bytes]] = _none
    """Returns credentials that a request has in other header fields, as values of `Authorization`.
    """


class Route:
    """One path of an API, or all paths below it, with a handler for each method.

    `rest` names the part that follows in the paths below. `parameters` are those of
    `key` and `namespace` that a query may have.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        handlers: Mapping[str, Handler],
        *,
        rest: str | None = None,
        parameters: Collection[str] = (),
        is_public: bool = False,
        is_for_admins: bool = False,
        mark: bytes | None = None,
        plain_methods: frozenset[str] = frozenset(),
        admit: Callable[[Exchange], Awaitable[User | None]] | None = None,
        needs_storage: bool = True,
        gives_way: bool = False,
        unauthorized: str = "Unauthorized",
    ) -> None:
        self.api = api
        self.path = path
        self.is_below = rest is not None
        self._rest = rest
        self._parameters = parameters
        self.is_public = is_public
        """Whether a request needs no credentials."""
        self.needs_storage = needs_storage and not is_public
        """Whether a request is refused if the storage cannot be opened."""
        self.gives_way = gives_way
        """Whether the operator's own route for the same path answers instead."""
        self.unauthorized = unauthorized
        """What a client learns that has no valid credentials."""
        self.mark = mark
        """The header field that marks a request for this route, at any path."""
        self.plain_methods = plain_methods
        """The methods whose handlers need no task, so that the HTTP server may answer in place."""
        self._template = path + (f"{{{rest}}}" if rest else "")
        has_one = type(self).template_of is Route.template_of
        self.template = self._template if has_one else None
        """The template of all its paths; `None` if only `template_of` knows."""
        self.templates: Mapping[str, frozenset[str]] = {self._template: frozenset(handlers)}
        """The paths as the OpenAPI document writes them, and the methods of each."""
        self.admit = admit
        """Returns the user of a request that has no other credentials; `None` if it has none."""
        self._is_for_admins = is_for_admins
        self._handlers = dict(handlers)

    def has_path(self, path: str) -> bool:
        """Return whether this route is for a path."""
        return path.startswith(self.path) if self.is_below else path == self.path

    def template_of(self, exchange: Exchange) -> str:
        """Return the template that the path of a request fits: the path without a key.

        It is `OTHER` if none does, so that requests for unknown paths make no further templates.
        """
        return self._template

    def key_of(self, exchange: Exchange) -> str | None:
        """Return the key that the URL of a request names, `None` if it names none."""
        if self._rest == "key":
            return rest_of_path(exchange, self.path)
        return self._parameter("key", exchange)

    def target_of(self, exchange: Exchange) -> str | None:
        """Return the API key or the namespace that a request names, `None` if it names none."""
        if self._is_for_admins and self.is_below:
            return rest_of_path(exchange, self.path)
        if "namespace" not in self._parameters:
            return None
        sent = exchange.fields.get(NAMESPACE_FIELD, b"")
        return self._parameter("namespace", exchange) or sent.decode(errors="replace") or None

    def _parameter(self, name: str, exchange: Exchange) -> str | None:
        if name not in self._parameters:
            return None  # such a parameter of an unknown path is often a secret
        return parse_qs(exchange.query.decode(errors="replace")).get(name, [None])[0]

    def methods_of(self, exchange: Exchange) -> frozenset[str]:
        """Return the methods that the path of a request has; none if there is no such path."""
        return self.templates.get(self.template_of(exchange), frozenset())

    def answer(self, exchange: Exchange) -> Awaitable[Answer | None]:
        """Answer a request with the handler of its method."""
        handler = self._handlers.get(exchange.method)
        if handler is None:
            raise MethodNotAllowed(exchange.method, sorted(self._handlers))
        if self._is_for_admins:
            exchange.user.check_admin()
        return handler(exchange)
