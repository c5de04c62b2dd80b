"""Which APIs a server has, and where: from the options to routes and their description."""

from collections.abc import Sequence
from itertools import permutations, product
from typing import Final

import msgspec

from ..endpoints.cloudflare.binding import Binding
from ..endpoints.cloudflare.rest import describe_rest, rest_routes
from ..endpoints.open_api import Group
from ..endpoints.v1.admin import admin_routes, describe_admin
from ..endpoints.v1.envelope import NATIVE_API
from ..endpoints.v1.kv import describe_kv, kv_routes
from ..errors import OptionsError
from ..http.exchange import Exchange
from ..http.route import Api, Route
from ..namespaces import Namespaces
from ..options import Options
from ..storage import Health, Storage

NO_API: Final = Api("none", NATIVE_API.failure)


class Elsewhere(Route):
    """The route of all paths that no API has: routes of the user's own, or nothing."""

    def __init__(self) -> None:
        super().__init__(NO_API, "/", {}, rest="path")

    def template_of(self, exchange: Exchange) -> str:
        # A key may stand in such a path by mistake.
        return "(another path)"


ELSEWHERE: Final = Elsewhere()


class Apis(msgspec.Struct, frozen=True):
    """The APIs of a server that need credentials, each with its routes."""

    values: Sequence[Route] = ()
    admin: Sequence[Route] = ()
    rest: Sequence[Route] = ()
    binding: Sequence[Route] = ()
    described: Sequence[Group] = ()
    """What the OpenAPI document says of them."""

    def routes(self) -> list[Route]:
        """Return all routes: the binding's, which go by more than paths, then the busiest."""
        return [*self.binding, *self.values, *self.rest, *self.admin]


def apis_of(
    options: Options,
    storage: Storage,
    cached: Storage,
    namespaces: Namespaces,
    health: Health,
    challenges: Sequence[str],
) -> Apis:
    """Return the APIs that the options ask for; values are read through `cached`.

    `challenges` are those of the strategies whose credentials are in `Authorization`.
    """
    endpoints = options.endpoints
    values: list[Route] = []
    admin: list[Route] = []
    rest: list[Route] = []
    binding: list[Route] = []
    described: list[Group] = []
    if endpoints.v1.kv is not False:
        prefix = options.path(endpoints.v1.kv)
        values = kv_routes(options.limits, cached, namespaces, prefix, health.failed)
        described.append(describe_kv(storage, options.limits, prefix))
    if endpoints.v1.admin is not False:
        prefix = options.path(endpoints.v1.admin)
        admin = admin_routes(options, storage, namespaces, prefix, health)
        described.append(describe_admin(storage, prefix))
    if endpoints.cloudflare.rest is not False:
        prefix = options.path(endpoints.cloudflare.rest)
        rest = rest_routes(options, cached, namespaces, prefix, health.failed)
        described.append(describe_rest(options, storage, prefix, challenges))
    if endpoints.cloudflare.binding is not False:
        prefix = options.path(endpoints.cloudflare.binding)
        binding = [Binding(options, cached, namespaces, prefix)]
    return Apis(values, admin, rest, binding, described)


def check_apart(options: Options, apis: Apis, public: Sequence[Route]) -> None:
    """Raise `OptionsError` where an API has the paths of another."""
    endpoints = options.endpoints
    groups: dict[str, tuple[object, Sequence[Route]]] = {
        "endpoints.v1.kv": (endpoints.v1.kv, apis.values),
        "endpoints.cloudflare.rest": (endpoints.cloudflare.rest, apis.rest),
        "endpoints.cloudflare.binding": (endpoints.cloudflare.binding, apis.binding),
        "endpoints.v1.admin": (endpoints.v1.admin, apis.admin),
        "endpoints.public": (endpoints.public, public),
    }
    for (one, (path, routes)), (other, (_, others)) in permutations(groups.items(), 2):
        for route, covered in product(routes, others):
            if route.has_path(covered.path):
                raise OptionsError(
                    f"{one} is {path!r}, which has the path {covered.path} of {other} as well; "
                    "expected endpoints that do not cover each other, or False for one of them"
                )


class RouteTable:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._marked = [(one.mark, one) for one in routes if one.mark is not None]
        self._exact = {one.path: one for one in routes if not one.is_below}
        self._below = [(one.path, one) for one in routes if one.is_below]

    def find(self, exchange: Exchange) -> Route:
        """Return the route of a request, `ELSEWHERE` where no API has it."""
        for mark, route in self._marked:
            if mark in exchange.fields:
                return route
        path = exchange.path
        exact = self._exact.get(path)
        if exact is not None:
            return exact
        for prefix, route in self._below:
            if path.startswith(prefix):
                return route
        return ELSEWHERE
