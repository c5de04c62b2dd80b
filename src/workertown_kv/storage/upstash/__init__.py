"""Entries in a Redis at Upstash, over HTTP, for hosts that cannot make other connections."""

from .storage import UpstashStorage

__all__ = ["UpstashStorage"]
