"""The storage itself. What it does is in the other modules, and in the keyspace."""

import time

from ..contract import Clock
from ..keyspace import Engine, KeyspaceStorage
from .settings import parse_url
from .transport import RedisTransport


class RedisStorage(KeyspaceStorage):
    """Entries in the Redis at `url`, whose forms and parameters `docs/storages/redis.md` has.

    A write is as durable as Redis is told to make it. In a cluster, an atomic batch over keys that
    are not kept together is `StorageUnsupported`; it is not in `lacks`, since others are done.
    """

    def __init__(self, url: str, *, clock: Clock = time.time) -> None:
        settings = parse_url(url)
        engine = Engine(
            lambda: RedisTransport(settings),
            timeout=settings.timeout,
            prefix=settings.prefix,
            buckets=settings.buckets,
        )
        super().__init__(engine, clock=clock)
