"""Lead browsers that open the server itself to the console."""

from collections.abc import Mapping
from posixpath import dirname, relpath

from ...http.route import Route
from ..v1.envelope import NATIVE_API
from .routes import redirect


def home_route(home: str, console: str) -> Route:
    """Return the route that leads from the path `home` to the console."""
    handler = redirect(relpath(console, dirname(home)) + "/")
    return Route(NATIVE_API, home, {"GET": handler, "HEAD": handler}, is_public=True)


def is_from_browser(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether a request asks for a page, as browsers do for an address that a user types."""
    return b"text/html" in fields.get(b"accept", b"").lower()
