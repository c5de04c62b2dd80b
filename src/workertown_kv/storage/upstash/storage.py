"""The storage itself. What it does is in the other modules, and in the keyspace."""

import time

from ..contract import Clock
from ..keyspace import Engine, KeyspaceStorage
from .transport import UpstashTransport
from .url import parse_url


class UpstashStorage(KeyspaceStorage):
    """Entries in the database at Upstash that `url` names: `upstash://TOKEN@HOST`.

    They are kept as `RedisStorage` keeps them, and each reads what the other has written. A write
    is as durable as Upstash makes it.
    """

    def __init__(self, url: str, *, clock: Clock = time.time) -> None:
        settings = parse_url(url)
        engine = Engine(
            lambda: UpstashTransport(settings), timeout=settings.timeout, prefix=settings.prefix
        )
        super().__init__(engine, clock=clock)
