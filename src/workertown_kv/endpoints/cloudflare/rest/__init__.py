"""Serve `endpoints.cloudflare.rest`: Cloudflare's REST API for Workers KV.

Its documentation is at developers.cloudflare.com/api/resources/kv.
"""

from .open_api import describe_rest
from .routes import rest_routes

__all__ = ["describe_rest", "rest_routes"]
