"""Make the routes of the APIs that the options ask for, and find the route of each request."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Final

from ..auth import ApiKey, Strategy
from ..credentials import ApiKeys
from ..endpoints.cloudflare.binding import Binding
from ..endpoints.cloudflare.rest import describe_rest, rest_routes
from ..endpoints.document import Group, document
from ..endpoints.metrics import MetricsRoute, describe_metrics
from ..endpoints.pages import PageRoute
from ..endpoints.pages.home import is_from_browser
from ..endpoints.public import describe_public, public_routes
from ..endpoints.schemas import Json
from ..endpoints.v1.admin import admin_routes, describe_admin
from ..endpoints.v1.changes import ChangeHandlers, change_routes, describe_changes
from ..endpoints.v1.envelope import NATIVE_API
from ..endpoints.v1.kv import describe_kv, kv_routes
from ..endpoints.v1.whoami import describe_whoami, whoami_routes
from ..errors import OptionsError
from ..http.exchange import Exchange
from ..http.route import OTHER, PLAIN_READS, Route
from ..meters.board import Board
from ..namespaces import Namespaces
from ..options import EndpointsOptions, Options, Secret, V1Options, check_bearer
from ..storage import Health, Storage
from .pages import pages_of


class Elsewhere(Route):
    """The route of all paths that no API has, for the operator's own routes."""

    def __init__(self) -> None:
        super().__init__(NATIVE_API, "/", {}, rest="path")

    def template_of(self, exchange: Exchange) -> str:
        # A key may stand in such a path by mistake.
        return OTHER


ELSEWHERE: Final = Elsewhere()

_DEFAULTS: Final = V1Options()
_DEFAULT_METRICS: Final = EndpointsOptions().metrics


def routes_of(
    options: Options,
    storage: Storage,
    cached: Storage,
    namespaces: Namespaces,
    health: Health,
    strategies: Sequence[Strategy],
    changes: ChangeHandlers | None,
    api_keys: ApiKeys | None,
    board: Callable[[], Board] | None,
) -> list[Route]:
    """Return the routes of the APIs that the options ask for; those of values read from `cached`.

    Raises `OptionsError` if an API has paths of another.
    """
    endpoints, cloudflare = options.endpoints, options.endpoints.cloudflare
    challenges = {strategy.name: strategy.challenge for strategy in strategies} or {
        ApiKey.name: ApiKey.challenge
    }
    if api_keys is not None:
        challenges.setdefault(ApiKey.name, ApiKey.challenge)
    jwt = options.auth.jwt
    own_fields = {"jwt": jwt.header} if jwt is not False and jwt.has_own_field else {}
    found: dict[str, tuple[str, Sequence[Route]]] = {}
    native: list[Callable[[], Group]] = []
    others: list[Callable[[], Group]] = []
    if endpoints.v1.kv is not False:
        prefix = options.path(endpoints.v1.kv)
        routes = kv_routes(options.limits, cached, namespaces, prefix, health.failed)
        found["endpoints.v1.kv"] = endpoints.v1.kv, routes
        native.append(partial(describe_kv, storage, options.limits, prefix))
    if cloudflare.rest is not False:
        prefix = options.path(cloudflare.rest)
        routes = rest_routes(options, cached, namespaces, prefix, health.failed)
        found["endpoints.cloudflare.rest"] = cloudflare.rest, routes
        in_authorization = [one for name, one in challenges.items() if name not in own_fields]
        others.append(partial(describe_rest, options, storage, prefix, in_authorization))
    if cloudflare.binding is not False:
        binding = Binding(options, cached, namespaces, options.path(cloudflare.binding))
        found["endpoints.cloudflare.binding"] = cloudflare.binding, [binding]
    if endpoints.v1.admin is not False:
        prefix = options.path(endpoints.v1.admin)
        routes = admin_routes(options, storage, cached, namespaces, api_keys, prefix, health)
        found["endpoints.v1.admin"] = endpoints.v1.admin, routes
        native.append(partial(describe_admin, storage, prefix, with_keys=api_keys is not None))
    if endpoints.v1.changes is not False and changes is not None:
        prefix = options.path(endpoints.v1.changes)
        routes = change_routes(changes, prefix)
        # Values may be at / or at /v1 without an option that turns the feed off.
        if endpoints.v1.changes != _DEFAULTS.changes or not _is_covered(routes, found):
            found["endpoints.v1.changes"] = endpoints.v1.changes, routes
            native.append(partial(describe_changes, storage, options.limits, prefix))
    if endpoints.v1.whoami is not False:
        prefix = options.path(endpoints.v1.whoami)
        routes = whoami_routes(prefix)
        if endpoints.v1.whoami != _DEFAULTS.whoami or not _is_covered(routes, found):
            found["endpoints.v1.whoami"] = endpoints.v1.whoami, routes
            native.append(partial(describe_whoami, prefix))
    if endpoints.metrics is not False and board is not None:
        path = options.path(endpoints.metrics)
        is_default = endpoints.metrics == _DEFAULT_METRICS
        variable = options.metrics.env.token
        token = options.metrics.token or options.secret(variable)
        name = "metrics.token" if options.metrics.token else f"The variable {variable}"
        try:
            check_bearer(name, token)
        except ValueError as error:
            raise OptionsError(str(error)) from error
        _check_is_no_api_key(name, token, strategies)
        routes = [MetricsRoute(path, board, token, gives_way=is_default)]
        if not is_default or not _is_covered(routes, found):
            found["endpoints.metrics"] = endpoints.metrics, routes
            native.append(partial(describe_metrics, path, has_token=bool(token)))
    if endpoints.public is not False:
        prefix = options.path(endpoints.public)
        others.append(partial(describe_public, prefix))
        refusals = _refusals(options)
        made = partial(document, [*native, *others], challenges, refusals, own_fields)
        routes = public_routes(health, _whole(made, storage), prefix)
        found["endpoints.public"] = endpoints.public, routes
    found |= pages_of(options, found, partial(_is_free, found))
    _check_apart(found)
    return [route for _, routes in found.values() for route in routes]


def _whole(made: Callable[[], Json], storage: Storage) -> Callable[[], Json]:
    """Return how to get the OpenAPI document, which is made when a client first asks for it.

    Few clients do, and making it takes longer than making all else of a server. It is made again
    if a server in front has learnt that the storage of the server behind lacks something else.
    """
    by_lacks = cache(lambda _: made())
    return lambda: by_lacks(frozenset(storage.lacks))


def _check_is_no_api_key(name: str, token: Secret | None, strategies: Sequence[Strategy]) -> None:
    """Raise `OptionsError` if a program that reads the metrics could do what an API key permits."""
    for strategy in strategies:
        if token and isinstance(strategy, ApiKey):
            api_key = strategy.name_of(token.reveal())
            if api_key is not None:
                raise OptionsError(
                    f"{name} is the same as the API key {api_key!r}, which permits more than "
                    "reading the metrics; expected another token"
                )


def _refusals(options: Options) -> Sequence[int]:
    """Return the statuses with which every path may refuse a request."""
    access = options.access
    on = {403: access.ip is not False, 429: access.rate_limit is not False}
    return [status for status in on if on[status]]


def _is_covered(routes: Sequence[Route], found: Mapping[str, tuple[str, Sequence[Route]]]) -> bool:
    """Return whether another API has the path of one of these routes."""
    return not all(_is_free(found, route.path) for route in routes)


def _is_free(found: Mapping[str, tuple[str, Sequence[Route]]], path: str) -> bool:
    """Return whether no API has a path."""
    return not any(route.has_path(path) for _, routes in found.values() for route in routes)


def _check_apart(found: Mapping[str, tuple[str, Sequence[Route]]]) -> None:
    all_paths = [(name, route.path) for name, (_, routes) in found.items() for route in routes]
    for name, (path, routes) in found.items():
        exact = {route.path for route in routes if not route.is_below}
        below = tuple(route.path for route in routes if route.is_below)
        for other, covered in all_paths:
            if other != name and (covered in exact or covered.startswith(below)):
                raise OptionsError(
                    f"{name} is {path!r}, which has the path {covered} of {other} as well; "
                    "expected endpoints that do not cover each other, or False for one of them"
                )


class RouteTable:
    """Finds the route of a request.

    `home` is the route of `/` for browsers. Routes that give way have no request for a path of
    which `is_own` says that the operator has a route there.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        home: PageRoute | None = None,
        is_own: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._home = home
        self._is_own = is_own
        self._marked = [(route.mark, route) for route in routes if route.mark is not None]
        self._exact = {route.path: route for route in routes if not route.is_below}
        self._giving_way = {
            path: self._exact.pop(path) for path, route in [*self._exact.items()] if route.gives_way
        }
        self._below = [(route.path, route) for route in routes if route.is_below]

    def find(self, path: str, fields: Mapping[bytes, bytes], method: str = "") -> Route:
        """Return the route of a request, `ELSEWHERE` if no API has its path."""
        for mark, route in self._marked:
            if mark in fields:
                return route
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        for prefix, route in self._below:
            if path.startswith(prefix):
                return route
        found = self._giving_way.get(path)
        if found is None and self._leads_home(path, fields, method):
            found = self._home
        return ELSEWHERE if found is None or self._is_own(path) else found

    def _leads_home(self, path: str, fields: Mapping[bytes, bytes], method: str) -> bool:
        is_home = self._home is not None and path == self._home.path
        return is_home and method in PLAIN_READS and is_from_browser(fields)
