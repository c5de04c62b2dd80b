"""Read the plain string keys of a Redis that other programs fill."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, RedisError, TimeoutError  # noqa: A004

from ...entry import Entry, is_utf8
from ...errors import OptionsError, StorageError, StorageUnavailable
from ...nesting import JSON_DEPTH, is_deeper

_KEYS: Final = 500
_SECONDS: Final = 30
_NO_EXPIRY: Final = -1
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)


class PlainStrings:
    """The string keys of a single Redis.

    A value is JSON if it is JSON, and bytes otherwise. Keys of other types are left out, and keys
    that are not UTF-8.
    """

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self._url = url
        self._clock = clock
        self.left_out = 0
        """How many string keys were left out, because they are not UTF-8."""

    async def check(self) -> None:
        """Raise `OptionsError` or `StorageError` if the keys cannot be listed."""
        async with _connected(self._url) as redis:
            await redis.scan(0, count=1, _type="string")

    async def pages(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield all entries, in no order; a key that is written meanwhile may come twice."""
        async with _connected(self._url) as redis:
            cursor = 0
            while True:
                cursor, keys = await redis.scan(cursor, count=_KEYS, _type="string")
                yield await self._read(redis, keys)
                if cursor == 0:
                    return

    async def _read(self, redis: Any, keys: Sequence[bytes]) -> Sequence[Entry]:
        reads = redis.pipeline(transaction=False)
        for key in keys:
            reads.get(key)
            reads.pttl(key)
        results = await reads.execute() if keys else []
        now = self._clock()
        entries = []
        for key, value, left_ms in zip(keys, results[::2], results[1::2], strict=True):
            if value is None:
                continue  # it has expired, or was deleted
            if not is_utf8(key):
                self.left_out += 1
                continue
            entries.append(
                Entry(
                    key=key.decode(),
                    value=value,
                    is_json=_is_json(value),
                    expires_at=None if left_ms == _NO_EXPIRY else round(now + left_ms / 1000, 3),
                    version="",
                )
            )
        return entries


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    try:
        made = Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)
    except ValueError as error:
        raise OptionsError(f"The URL of Redis is wrong: {error}") from error
    async with aclosing(made) as redis:
        try:
            yield redis
        except (ConnectionError, TimeoutError) as error:
            raise StorageUnavailable(f"Redis does not answer: {error}") from error
        except RedisError as error:
            raise StorageError(f"Redis refuses a command: {error}") from error


def _is_json(value: bytes) -> bool:
    try:
        _ANY.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return False
    return is_utf8(value) and not is_deeper(value, JSON_DEPTH)
