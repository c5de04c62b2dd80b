"""Make the routes of the pages for browsers that the options ask for."""

from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal

from ..endpoints.pages import PageRoute, api_page_routes, console_routes, home_route
from ..endpoints.public import DESCRIPTION
from ..http.route import Route
from ..options import EndpointsOptions, Options

_DEFAULTS: Final = EndpointsOptions()


def pages_of(
    options: Options, apis: Collection[str], is_free: Callable[[str], bool]
) -> dict[str, tuple[str, Sequence[Route]]]:
    """Return the path and the routes of each page, by the name of its option.

    `apis` are the names of the options of the APIs that the server has. `is_free` says that no API
    has a path: a page whose path is the default gives way to an API with that path.
    """
    endpoints = options.endpoints

    def wanted(given: str | Literal[False], default: object, *needed: str) -> str | None:
        if given is False or not {*needed} <= {*apis}:
            return None
        return given if given != default or is_free(options.path(given)) else None

    def whole(path: str | Literal[False] | None) -> str | None:
        return options.path(path) if path else None

    console = wanted(endpoints.console, _DEFAULTS.console, "endpoints.v1.kv", "endpoints.v1.whoami")
    docs = wanted(endpoints.docs, _DEFAULTS.docs, "endpoints.public")
    if docs == console == _DEFAULTS.docs:
        docs = None
    found: dict[str, tuple[str, Sequence[Route]]] = {}
    if console is not None:
        metrics = whole("endpoints.metrics" in apis and endpoints.metrics)
        routes = console_routes(options, options.path(console), docs=whole(docs), metrics=metrics)
        found["endpoints.console"] = console, routes
    if docs is not None and endpoints.public is not False:
        found["endpoints.docs"] = (
            docs,
            api_page_routes(
                options.path(docs),
                options.path(endpoints.public, DESCRIPTION),
                whoami=whole("endpoints.v1.whoami" in apis and endpoints.v1.whoami),
                console=whole(console),
            ),
        )
    return found


def console_of(options: Options, routes: Sequence[Route]) -> str | None:
    """Return the path of the console, `None` if there is no console."""
    if options.endpoints.console is False:
        return None
    console = options.path(options.endpoints.console)
    has_console = any(isinstance(one, PageRoute) and one.path == console for one in routes)
    return console if has_console else None


def home_of(options: Options, console: str | None) -> PageRoute | None:
    """Return the route that leads browsers to the console, `None` if it leads nowhere."""
    home = options.path("")
    return None if console in (None, home) else home_route(home, console)
