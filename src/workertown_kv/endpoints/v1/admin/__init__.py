"""`endpoints.v1.admin`: what the server is, the storage's schema, and its namespaces."""

from .open_api import describe_admin
from .routes import admin_routes

__all__ = ["admin_routes", "describe_admin"]
