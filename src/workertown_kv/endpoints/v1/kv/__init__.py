"""Serve `endpoints.v1.kv`: values, keys and batches."""

from .open_api import describe_kv
from .routes import kv_routes

__all__ = ["describe_kv", "kv_routes"]
