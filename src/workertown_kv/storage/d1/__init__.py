"""Keep entries in D1, through Cloudflare's REST API."""

from .storage import D1Storage

__all__ = ["D1Storage"]
