"""Serve `endpoints.v1.admin`: the options, the schema of the storage, and its namespaces."""

from .open_api import describe_admin
from .routes import admin_routes

__all__ = ["admin_routes", "describe_admin"]
