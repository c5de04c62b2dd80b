"""Count requests of several servers in a store: Redis, or Upstash over its REST protocol.

A script counts inside the store: a request needs one call, and no request goes uncounted.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import httpx2
import msgspec

from ...storage.connecting import needs_certificates, seconds_of_a_step
from ...storage.upstash.url import FORM as UPSTASH_FORM
from ...storage.upstash.url import endpoint_of
from ...storage.url_parts import UrlForm
from .counting import Allowance, Count, Counter, short_name
from .limiter import ANSWER_SECONDS

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

_SCRIPT: Final = """
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local left = redis.call('PTTL', KEYS[2])
if left >= 0 and left <= window then
    redis.call('RENAME', KEYS[2], KEYS[1])
    redis.call('SET', KEYS[2], 0, 'PX', left + window)
end
local previous = tonumber(redis.call('GET', KEYS[1]) or 0)
local fading = math.max(redis.call('PTTL', KEYS[1]), 0)
local current = tonumber(redis.call('GET', KEYS[2]) or 0)
local allowed = current + math.max(math.floor((previous * fading - 1) / window), 0) < limit
if allowed then
    current = redis.call('INCR', KEYS[2])
    if redis.call('PTTL', KEYS[2]) < 0 then
        redis.call('PEXPIRE', KEYS[2], 2 * window)
    end
end
return {allowed and 1 or 0, previous, fading, current, math.max(redis.call('PTTL', KEYS[2]), 0)}
"""
"""The keys are those of the previous and of the current window, which last until they expire."""

_REDIS_FORM: Final = UrlForm(
    name="URL of Redis",
    expected="redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]",
    ports={"redis": 6379, "rediss": 6379},
)


def store_at(url: str, limit: int, seconds: int) -> Counter:
    """Return a counter in the store at a URL.

    Raises `OptionsError` or `ValueError` for a malformed URL, and `ModuleNotFoundError` if the
    driver is not installed.
    """
    scheme = url.partition("://")[0].lower()
    if scheme in ("redis", "rediss"):
        return _RedisCounter(url, limit, seconds)
    if scheme in ("upstash", "upstash+http"):
        return _UpstashCounter(url, limit, seconds)
    raise ValueError(scheme)


class _StoreCounter(ABC):
    def __init__(self, limit: int, seconds: int) -> None:
        self._limit = limit
        self._seconds = seconds

    async def take(self, client: str) -> Allowance:
        name = f"{short_name(client)}/{self._limit}/{self._seconds}/second"
        # The braces keep both keys on one server of a cluster.
        key = f"workertown-kv:{{rate-limit/{name}}}"
        arguments = (str(self._limit), str(self._seconds * 1000))
        allowed, *counts = await self._run_script((f"{key}/-1", key), arguments)
        return Count(allowed == 1, *counts).allowance(self._limit, self._seconds)

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def _run_script(self, keys: Sequence[str], arguments: Sequence[str]) -> Sequence[int]: ...


class _RedisCounter(_StoreCounter):
    def __init__(self, url: str, limit: int, seconds: int) -> None:
        from redis.asyncio import Redis  # noqa: PLC0415  (Upstash needs no driver)

        super().__init__(limit, seconds)
        self._pool = _pool(url)
        self._script = Redis(connection_pool=self._pool).register_script(_SCRIPT)

    async def close(self) -> None:
        await self._pool.aclose()

    async def _run_script(self, keys: Sequence[str], arguments: Sequence[str]) -> Sequence[int]:
        answer: Sequence[int] = await self._script(keys, arguments)
        return answer


def _pool(url: str) -> "ConnectionPool":
    """Make a pool without connections.

    Raises `OptionsError` or `ValueError` for a malformed URL.
    """
    from redis.asyncio import ConnectionPool  # noqa: PLC0415  (Upstash needs no driver)
    from redis.asyncio.retry import Retry  # noqa: PLC0415  (Upstash needs no driver)
    from redis.backoff import NoBackoff  # noqa: PLC0415  (Upstash needs no driver)

    parts = _REDIS_FORM.split(url)
    ((host, _), *others) = parts.hosts
    if not host or others or not ("".join(parts.path) or "0").isdigit():
        raise _REDIS_FORM.malformed()
    plain_url = parts.scheme + url.strip()[len(parts.scheme) :]
    # The one retry is for a connection that Redis has closed in the meantime. No request waits
    # until Redis is back.
    pool: ConnectionPool = ConnectionPool.from_url(plain_url, retry=Retry(NoBackoff(), 1))
    # This finds a wrong parameter of the URL now, and not only at the first request.
    try:
        pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py does not annotate it
    except TypeError as error:
        raise ValueError(url) from error
    return pool


class UpstashError(Exception):
    """Upstash refused a command."""


class _Answer(msgspec.Struct, frozen=True):
    result: Any = None
    error: str | None = None


class _UpstashCounter(_StoreCounter):
    def __init__(self, url: str, limit: int, seconds: int) -> None:
        super().__init__(limit, seconds)
        parts = UPSTASH_FORM.split(url)
        if parts.query:
            raise UPSTASH_FORM.malformed("has parameters")
        self._url, self._token = endpoint_of(parts)
        self._client: httpx2.AsyncClient | None = None

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _run_script(self, keys: Sequence[str], arguments: Sequence[str]) -> Sequence[int]:
        if self._client is None:
            # The limiter bounds how long an answer may take.
            self._client = httpx2.AsyncClient(
                headers={"Authorization": f"Bearer {self._token.reveal()}"},
                timeout=httpx2.Timeout(None, connect=seconds_of_a_step(ANSWER_SECONDS)),
                verify=needs_certificates(self._url),
            )
        command = ("EVAL", _SCRIPT, "2", *keys, *arguments)
        response = await self._client.post(self._url, json=command)
        try:
            answer = msgspec.json.decode(response.content, type=_Answer)
        except msgspec.DecodeError:
            answer = _Answer(error="the answer does not fit its REST protocol")
        if response.status_code != 200 or answer.error is not None:
            raise UpstashError(f"EVAL: status {response.status_code}, {answer.error}")
        result: Sequence[int] = answer.result
        return result
