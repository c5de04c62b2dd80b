"""Send commands by Upstash's REST protocol, in the body of a POST."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import httpx2
import msgspec

from ...options import Secret
from ..connecting import needs_certificates, seconds_of_a_step
from ..keyspace import Argument, Lost
from .failures import Refused

_NEVER_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)

_SYNC_TOKEN: Final = "upstash-sync-token"  # noqa: S105  (the name of a field, not a secret)


class _Answer(msgspec.Struct, frozen=True):
    result: Any = None
    error: str | None = None


class Rest:
    """A client for one database."""

    def __init__(self, endpoint: str, token: Secret) -> None:
        self._sync_token = ""
        self._client = httpx2.AsyncClient(
            base_url=endpoint,
            headers={"Authorization": f"Bearer {token.reveal()}", "Upstash-Encoding": "base64"},
            timeout=None,
            verify=needs_certificates(endpoint),
        )

    async def run(self, commands: Sequence[Sequence[Argument]], deadline: float) -> list[Any]:
        """Return the result of each command as JSON has it, or `Refused`, or `Lost`."""
        is_single = len(commands) == 1
        path, body = ("/", commands[0]) if is_single else ("/pipeline", commands)
        try:
            response = await self._post(path, msgspec.json.encode(body), deadline)
            answers = _answers(response, is_single=is_single)
        except (Lost, Refused) as error:
            return [error] * len(commands)
        return [
            answer.result if answer.error is None else Refused(answer.error) for answer in answers
        ]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, path: str, body: bytes, deadline: float) -> httpx2.Response:
        step = seconds_of_a_step(max(deadline - asyncio.get_running_loop().time(), 0))
        timeout = httpx2.Timeout(None, connect=step, pool=step)
        # By this token, a replica knows for which writes it must wait before it answers.
        headers = {"Content-Type": "application/json", _SYNC_TOKEN: self._sync_token}
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._client.post(
                    path, content=body, headers=headers, timeout=timeout
                )
        except (httpx2.RequestError, OSError) as error:
            # TLS alerts come as they are.
            raise Lost(sent=not isinstance(error, _NEVER_SENT), cause=error) from error
        self._sync_token = response.headers.get(_SYNC_TOKEN, self._sync_token)
        return response


def _answers(response: httpx2.Response, *, is_single: bool) -> list[_Answer]:
    """Read an answer. Raises `Refused` if no command ran, and `Lost` if that is unknown."""
    status = response.status_code
    if status == 429:
        raise Refused("max concurrent connections exceeded")
    if status == 413:
        raise Refused("max request size exceeded")
    try:
        if status == 200 and not is_single:
            return msgspec.json.decode(response.content, type=list[_Answer])
        answer = msgspec.json.decode(response.content, type=_Answer)
    except msgspec.DecodeError:
        answer = None
    if answer is None or status >= 500:
        cause = ConnectionError(f"status {status}, and no answer of its protocol")
        raise Lost(sent=True, cause=cause) from cause
    if status != 200:
        raise Refused(answer.error or f"status {status}")
    return [answer]
