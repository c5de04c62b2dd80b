"""Keep entries in Redis or Valkey: a single server, a master of sentinels, or a cluster."""

import time

from ...errors import MissingExtra
from ..contract import Clock
from ..keyspace import Engine, KeyspaceStorage
from .settings import parse_url


class RedisStorage(KeyspaceStorage):
    """Keeps entries in the Redis at `url`; `docs/storages/redis.md` has its forms and parameters.

    A write is as durable as the configuration of Redis makes it. In a cluster, an atomic batch
    over keys that are not kept together is `StorageUnsupported`; it is not in `lacks`, since other
    atomic batches work.
    """

    def __init__(self, url: str, *, clock: Clock = time.time) -> None:
        settings = parse_url(url)
        try:
            from .transport import RedisTransport  # noqa: PLC0415  (other storages do not need the driver)
        except ModuleNotFoundError as error:
            raise MissingExtra("Redis", "redis>=7", "hiredis>=3.3") from error
        parameters = settings.parameters
        super().__init__(
            Engine(
                lambda: RedisTransport(settings), parameters, buckets=parameters.buckets or None
            ),
            clock=clock,
        )
