"""Lead browsers that open the server itself to the console."""

from collections.abc import Mapping
from posixpath import dirname, relpath

from .serving import PageRoute, redirect


def home_route(home: str, console: str) -> PageRoute:
    """Return the route that leads from the path `home` to the console."""
    return PageRoute(home, redirect(relpath(console, dirname(home)) + "/"), gives_way=True)


def is_from_browser(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether a request asks for a page, as browsers do for an address that a user types."""
    return b"text/html" in fields.get(b"accept", b"").lower()
