"""The console: pages for browsers, which use only the native API."""

from .home import home_route, is_from_browser
from .routes import ConsoleRoute, console_routes

__all__ = ["ConsoleRoute", "console_routes", "home_route", "is_from_browser"]
