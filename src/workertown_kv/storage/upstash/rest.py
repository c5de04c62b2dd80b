"""Upstash's REST protocol: commands in the body of a POST, and what comes of them."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import httpx2
import msgspec

from ...options import Secret
from .failures import Lost, Refused

CONNECTED: Final = 0.9
"""Connecting may take this part of the time that is left; the rest is for another try."""

_SYNC_TOKEN: Final = "upstash-sync-token"  # noqa: S105  (it says what was written, and is no secret)


class _Answer(msgspec.Struct, frozen=True):
    result: Any = None
    error: str | None = None


class Rest:
    """A client of one database."""

    def __init__(self, endpoint: str, token: Secret) -> None:
        self._sync_token = ""
        self._client = httpx2.AsyncClient(
            base_url=endpoint,
            headers={"Authorization": f"Bearer {token.reveal()}", "Upstash-Encoding": "base64"},
            timeout=None,
        )

    async def run(self, commands: Sequence[Sequence[str]], deadline: float) -> list[Any]:
        """Of each command the result as JSON has it, or `Refused`, or `Lost`."""
        alone = len(commands) == 1
        path, body = ("/", commands[0]) if alone else ("/pipeline", commands)
        try:
            response = await self._post(path, msgspec.json.encode(body), deadline)
            answers = _answers(response, alone=alone)
        except (Lost, Refused) as error:
            return [error] * len(commands)
        return [one.result if one.error is None else Refused(one.error) for one in answers]

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _post(self, path: str, body: bytes, deadline: float) -> httpx2.Response:
        connecting = max(deadline - asyncio.get_running_loop().time(), 0) * CONNECTED
        timeout = httpx2.Timeout(None, connect=connecting, pool=connecting)
        # By this token, a replica that is near knows what it has to have before it answers.
        headers = {"Content-Type": "application/json", _SYNC_TOKEN: self._sync_token}
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._client.post(
                    path, content=body, headers=headers, timeout=timeout
                )
        except (httpx2.TransportError, TimeoutError) as error:
            raise Lost(error) from error
        self._sync_token = response.headers.get(_SYNC_TOKEN, self._sync_token)
        return response


def _answers(response: httpx2.Response, *, alone: bool) -> list[_Answer]:
    """Raises `Refused` where nothing was done, and `Lost` where nobody knows."""
    status = response.status_code
    if status == 429:
        raise Refused("max concurrent connections exceeded")
    if status == 413:
        raise Refused("max request size exceeded")
    try:
        if status == 200 and not alone:
            return msgspec.json.decode(response.content, type=list[_Answer])
        answer = msgspec.json.decode(response.content, type=_Answer)
    except msgspec.DecodeError:
        answer = None
    if answer is None or status >= 500:
        cause = ConnectionError(f"status {status}, and no answer of its protocol")
        raise Lost(cause) from cause
    if status != 200:
        raise Refused(answer.error or f"status {status}")
    return [answer]
