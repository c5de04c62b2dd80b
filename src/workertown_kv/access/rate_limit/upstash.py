"""Counts in Upstash, over its REST protocol."""

from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec

from ...options import Secret
from ...storage.upstash.url import endpoint_of
from .counting import PREFIX, Count, Counting, WindowsAlone
from .limiter import ANSWER_SECONDS
from .script import SCRIPT, arguments, counted


class UpstashError(Exception):
    """Upstash refused a command."""


class _Answer(msgspec.Struct, frozen=True):
    result: Any = None
    error: str | None = None


class UpstashCounts(Counting, WindowsAlone):
    """A database of Upstash, by `upstash://TOKEN@HOST`; `upstash+http` is for a local stand-in."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url, self._token = _endpoint(url)
        self._client: httpx2.AsyncClient | None = None

    async def count(self, key: str, limit: int, expiry: int, amount: int) -> Count:
        keys = _keys(key)
        answer = await self._ask("EVAL", SCRIPT, "2", *keys, *arguments(limit, expiry, amount))
        return counted(answer)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        await self._ask("DEL", *_keys(key))

    async def check(self) -> bool:
        return bool(await self._ask("PING") == "PONG")

    async def _ask(self, *command: str) -> Any:
        if self._client is None:
            self._client = httpx2.AsyncClient(
                headers={"Authorization": f"Bearer {self._token.reveal()}"}, timeout=ANSWER_SECONDS
            )
        response = await self._client.post(self._url, json=command)
        try:
            answer = msgspec.json.decode(response.content, type=_Answer)
        except msgspec.DecodeError:
            answer = _Answer(error="the answer is not of its REST protocol")
        if response.status_code != 200 or answer.error is not None:
            raise UpstashError(f"{command[0]}: status {response.status_code}, {answer.error}")
        return answer.result


def _keys(key: str) -> tuple[str, str]:
    """The keys of the window before and of the current one, as `limits` has them in Redis."""
    return f"{PREFIX}:{{{key}}}/-1", f"{PREFIX}:{{{key}}}"


def _endpoint(url: str) -> tuple[str, Secret]:
    """Where to send commands, and the token. Raises `ValueError` for a URL that is malformed."""
    if urlsplit(url).query:
        raise ValueError
    return endpoint_of(url)
