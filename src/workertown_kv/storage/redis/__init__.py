"""Keep entries in Redis: a single server, a master watched by sentinels, or a cluster."""

from .storage import RedisStorage

__all__ = ["RedisStorage"]
