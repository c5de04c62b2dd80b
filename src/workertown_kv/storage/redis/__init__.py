"""Entries in Redis: one server, one that sentinels watch over, or a cluster."""

from .storage import RedisStorage

__all__ = ["RedisStorage"]
