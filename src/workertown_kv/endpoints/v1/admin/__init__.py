"""Serve `endpoints.v1.admin`: the options, the storage, its namespaces and its API keys."""

from .open_api import describe_admin
from .routes import admin_routes

__all__ = ["admin_routes", "describe_admin"]
