"""Send requests to the JSON gateway of a cluster: to another member if a member does not answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import httpx2
import msgspec

from ...errors import StorageUnavailable
from ..connecting import seconds_of_a_step
from .failures import Lost, Outcome, Refused, translated
from .messages import Watched, WatchedLine
from .url import Settings

_NEVER_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.2
_IDLE_SECONDS: Final = 60.0
"""How long a connection is kept that no request uses."""

_Answer = TypeVar("_Answer")


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    error: str = ""


class _Token(msgspec.Struct, frozen=True):
    token: str = ""


class Gateway:
    """A client for a cluster."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._endpoints = settings.endpoints
        self._at = 0
        """The index of the endpoint to which the next request goes."""
        self._token = ""
        self._login = asyncio.Lock()
        self.server_time = ""
        """The `Date` of the last answer."""
        most = settings.parameters.connections
        self._client = httpx2.AsyncClient(
            verify=settings.tls or False,
            timeout=None,
            trust_env=False,
            limits=httpx2.Limits(
                max_connections=None,
                max_keepalive_connections=most,
                keepalive_expiry=_IDLE_SECONDS,
            ),
        )
        self._turns = asyncio.Semaphore(most)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(
        self, path: str, message: Any, kind: type[_Answer], deadline: float, *, writes: bool = False
    ) -> _Answer:
        """Return the answer to a request, which has until a time of the event loop.

        A request that `writes` is not sent again if its write may have happened. Raises `KvError`.
        """
        body = msgspec.json.encode(message)
        try:
            async with asyncio.timeout_at(deadline):
                await self._turns.acquire()
        except TimeoutError as error:
            raise translated(Lost(sent=False, cause=error), writes=writes) from error
        try:
            content = await self._answered(path, body, deadline, writes=writes)
        finally:
            self._turns.release()
        try:
            return msgspec.json.decode(content, type=kind, strict=False)
        except msgspec.DecodeError as error:
            raise translated(Lost(sent=True, cause=error), writes=writes) from error

    @asynccontextmanager
    async def watch(self, message: Any) -> AsyncIterator[AsyncIterator[Watched]]:
        """Open a watch, which has no deadline. Raises `KvError`."""
        endpoint = self._endpoints[self._at]
        until = asyncio.get_running_loop().time() + self._settings.parameters.timeout
        request = self._request(endpoint, "watch", msgspec.json.encode(message), until)
        try:
            response = await self._client.send(request, stream=True)
            try:
                if response.status_code != 200:
                    raise Refused(_error_text(response, await response.aread()))
                yield _watched(response)
            finally:
                await response.aclose()
        except (httpx2.RequestError, OSError, msgspec.DecodeError) as error:
            self._leave(endpoint)
            raise translated(Lost(sent=True, cause=error), writes=False) from error
        except Refused as error:
            if error.outcome is Outcome.LOGIN:
                self._token = ""
                raise StorageUnavailable("Etcd asks for a new login") from error
            raise translated(error, writes=False) from error

    async def _answered(self, path: str, body: bytes, deadline: float, *, writes: bool) -> bytes:
        now = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE_SECONDS
        unreached = 0
        has_logged_in = False
        while True:
            endpoint = self._endpoints[self._at]
            # A member that hangs must leave time to ask the others.
            is_last = writes or unreached >= len(self._endpoints) - 1
            until = deadline if is_last else (now() + deadline) / 2
            try:
                return await self._sent(endpoint, path, body, until, deadline)
            except (Lost, Refused) as error:
                if error.outcome is Outcome.LOGIN and self._settings.user and not has_logged_in:
                    has_logged_in = True
                    self._token = ""
                    continue
                if error.outcome in (Outcome.NOT_DONE, Outcome.UNKNOWN):
                    self._leave(endpoint)
                unreached += isinstance(error, Lost)
                may_repeat = error.outcome is Outcome.NOT_DONE or (
                    error.outcome is Outcome.UNKNOWN and not writes
                )
                # A member may have closed only the connection: even a single one is asked again.
                most = max(len(self._endpoints), 2 if error.outcome is Outcome.UNKNOWN else 1)
                if not may_repeat or unreached >= most or now() + pause >= deadline:
                    raise translated(error, writes=writes) from error
                if isinstance(error, Refused):
                    # A member that answers may only wait for a new leader.
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _sent(
        self, endpoint: str, path: str, body: bytes, until: float, deadline: float
    ) -> bytes:
        """Send a request once. Raises `Lost` or `Refused`."""
        if self._settings.user and not self._token:
            await self._log_in(endpoint, until)
        return await self._post(endpoint, path, body, until)

    async def _log_in(self, endpoint: str, until: float) -> None:
        async with self._login:
            if self._token:
                return
            settings = self._settings
            body = {"name": settings.user, "password": settings.password.reveal()}
            content = await self._post(
                endpoint, "auth/authenticate", msgspec.json.encode(body), until
            )
            try:
                self._token = msgspec.json.decode(content, type=_Token).token
            except msgspec.DecodeError as error:
                raise Lost(sent=False, cause=error) from error

    async def _post(self, endpoint: str, path: str, body: bytes, until: float) -> bytes:
        request = self._request(endpoint, path, body, until)
        try:
            async with asyncio.timeout_at(until):
                response = await self._client.send(request)
        except _NEVER_SENT as error:
            raise Lost(sent=False, cause=error) from error
        except (httpx2.RequestError, OSError) as error:
            # TLS alerts come as they are.
            raise Lost(sent=True, cause=error) from error
        self.server_time = response.headers.get("date", "")
        if response.status_code != 200:
            raise Refused(_error_text(response, response.content))
        return response.content

    def _request(self, endpoint: str, path: str, body: bytes, until: float) -> httpx2.Request:
        step = seconds_of_a_step(max(until - asyncio.get_running_loop().time(), 0))
        return self._client.build_request(
            "POST",
            f"{endpoint}/v3/{path}",
            content=body,
            headers={"Authorization": self._token} if self._token else None,
            timeout=httpx2.Timeout(None, connect=step, pool=step),
        )

    def _leave(self, endpoint: str) -> None:
        """Send the next requests to another member, unless another request decided so already."""
        if self._endpoints[self._at] == endpoint:
            self._at = (self._at + 1) % len(self._endpoints)


async def _watched(response: httpx2.Response) -> AsyncIterator[Watched]:
    async for line in response.aiter_lines():
        message = msgspec.json.decode(line, type=WatchedLine, strict=False)
        if message.error is not None:
            raise Refused(str(message.error.get("message", "")))
        yield message.result


def _error_text(response: httpx2.Response, content: bytes) -> str:
    try:
        error = msgspec.json.decode(content, type=_Error)
    except msgspec.DecodeError:
        error = _Error()
    if text := error.message or error.error:
        return text
    if response.status_code == 404:
        return "there is no JSON gateway at /v3; expected etcd 3.4 or later, with its gRPC gateway"
    return f"status {response.status_code}"
