"""Counts in Redis."""

from urllib.parse import urlsplit

from limits.aio.storage import RedisStorage
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .counting import PREFIX, Count, Counting
from .script import SCRIPT, arguments, counted


class RedisCounts(Counting, RedisStorage):
    """The store of `limits` for redis-py, with a script of our own that also tells the count."""

    def __init__(self, url: str) -> None:
        self._pool = _pool(url)
        super().__init__(
            "redis://",
            implementation="redispy",
            key_prefix=PREFIX,
            connection_pool=self._pool,  # type: ignore[arg-type]  # handed on to redis-py
        )
        self._script = Redis(connection_pool=self._pool).register_script(SCRIPT)

    async def count(self, key: str, limit: int, expiry: int, amount: int) -> Count:
        keys = (self._previous_window_key(key), self._current_window_key(key))
        answer = await self._script(
            [self.bridge.prefixed_key(one) for one in keys], arguments(limit, expiry, amount)
        )
        return counted(answer)

    async def close(self) -> None:
        await self._pool.aclose()


def _pool(url: str) -> ConnectionPool:
    """Connections to make. Raises `ValueError` for a URL that is malformed."""
    parts = urlsplit(url)
    if not parts.hostname or parts.fragment or not (parts.path[1:] or "0").isdigit():
        raise ValueError(url)
    # One more try at once is for connections that Redis has closed meanwhile. To wait until it
    # is back is not for a request to do.
    pool: ConnectionPool = ConnectionPool.from_url(parts.geturl(), retry=Retry(NoBackoff(), 1))
    # A wrong parameter in the URL is to be found now, and not with the first request.
    try:
        pool.make_connection()  # type: ignore[no-untyped-call]
    except TypeError as error:
        raise ValueError(url) from error
    return pool
