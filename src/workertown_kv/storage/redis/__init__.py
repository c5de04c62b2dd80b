"""Entries in Redis: one server, one that sentinels watch over, or a cluster.

Importing this raises `MissingExtra` where the driver is not installed.
"""

from ...errors import MissingExtra

try:
    import hiredis  # noqa: F401  (redis-py does without it, but slowly)

    from .storage import RedisStorage
except ModuleNotFoundError as error:
    raise MissingExtra("Redis", "redis") from error

__all__ = ["RedisStorage"]
