"""Which doors a server has, and where: from the options to routes and their description."""

from collections.abc import Iterator, Sequence
from itertools import permutations, product

import msgspec
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from ..endpoints.cloudflare.binding import Binding, send_line
from ..endpoints.cloudflare.rest import describe_rest, other_credentials, rest_routes, send_failure
from ..endpoints.envelope import SendError, send_error
from ..endpoints.open_api import Group
from ..endpoints.request import route_path
from ..endpoints.resource import Resource
from ..endpoints.v1.admin import admin_routes, describe_admin
from ..endpoints.v1.kv import describe_kv, kv_routes
from ..errors import OptionsError
from ..namespaces import Namespaces
from ..options import Options
from ..storage import Health, Storage


class Doors(msgspec.Struct, frozen=True):
    """The doors of a server that need credentials."""

    values: Sequence[Resource]
    admin: Sequence[Resource]
    rest: Sequence[Resource]
    binding: Binding | None
    described: Sequence[Group]
    """What the OpenAPI document says of them."""

    def routes(self) -> list[BaseRoute]:
        """All routes. The binding's first: it goes by more than paths. Then what is asked most."""
        first = [] if self.binding is None else [self.binding]
        return [*first, *self.values, *self.rest, *self.admin]

    def is_binding(self, scope: Scope) -> bool:
        """Whether a request is workerd's, at whatever path."""
        return self.binding is not None and self.binding.covers(scope)

    def is_rest(self, scope: Scope) -> bool:
        """Whether a request is for Cloudflare's REST API."""
        path = route_path(scope)
        return any(route.has_path(path) for route in self.rest)

    def send_error_of(self, scope: Scope) -> SendError:
        """How the door of a request says what went wrong."""
        if self.is_binding(scope):
            return send_line
        return send_failure if self.is_rest(scope) else send_error

    def credentials_of(self, scope: Scope) -> Iterator[Scope]:
        """A request again, for each other way in which its door lets credentials be sent."""
        return other_credentials(scope) if self.is_rest(scope) else iter(())


def doors_of(
    options: Options,
    storage: Storage,
    cached: Storage,
    namespaces: Namespaces,
    health: Health,
    challenges: Sequence[str],
) -> Doors:
    """The doors that the options ask for; values are read through `cached`.

    `challenges` are those of the strategies whose credentials are in `Authorization`.
    """
    endpoints = options.endpoints
    values: list[Resource] = []
    admin: list[Resource] = []
    rest: list[Resource] = []
    binding = None
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
        binding = Binding(options, cached, namespaces, options.path(endpoints.cloudflare.binding))
    return Doors(values, admin, rest, binding, described)


def check_apart(options: Options, doors: Doors, public: Sequence[Resource]) -> None:
    """Raise `OptionsError` where a door has the paths of another."""
    endpoints = options.endpoints
    binding = [] if doors.binding is None else [doors.binding]
    groups: dict[str, tuple[object, Sequence[Resource | Binding]]] = {
        "endpoints.v1.kv": (endpoints.v1.kv, doors.values),
        "endpoints.cloudflare.rest": (endpoints.cloudflare.rest, doors.rest),
        "endpoints.cloudflare.binding": (endpoints.cloudflare.binding, binding),
        "endpoints.v1.admin": (endpoints.v1.admin, doors.admin),
        "endpoints.public": (endpoints.public, public),
    }
    for (one, (path, routes)), (other, (_, others)) in permutations(groups.items(), 2):
        for route, covered in product(routes, others):
            if route.has_path(covered.path):
                raise OptionsError(
                    f"{one} is {path!r}, which has the path {covered.path} of {other} as well; "
                    "expected endpoints that do not cover each other, or False for one of them"
                )


def template_of(routes: Sequence[BaseRoute], scope: Scope) -> str:
    """The path of a request without what may be a key, as `/open-api.json` writes it.

    Where there is no route, a key may stand by mistake: what fails there is a hook, or the guard.
    """
    route = _route_of(routes, scope)
    return "(another path)" if route is None else route.template_of(scope)


def methods_at(routes: Sequence[BaseRoute], scope: Scope) -> frozenset[str]:
    """Return the methods of the path of a request, none if there is no such path."""
    route = _route_of(routes, scope)
    methods = None if route is None else route.templates.get(route.template_of(scope))
    return methods or frozenset()


def _route_of(routes: Sequence[BaseRoute], scope: Scope) -> Resource | Binding | None:
    for route in routes:
        if route.matches(scope)[0] is Match.FULL and isinstance(route, Resource | Binding):
            return route
    return None
