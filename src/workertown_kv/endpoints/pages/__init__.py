"""The pages for browsers: the console and the API pages, which use only the public APIs."""

from .api_pages import api_page_routes
from .console import console_routes
from .home import home_route
from .serving import PageRoute

__all__ = ["PageRoute", "api_page_routes", "console_routes", "home_route"]
