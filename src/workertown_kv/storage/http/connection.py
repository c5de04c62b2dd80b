"""Send requests to a server, and read its answers."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import httpx2
import msgspec

from ...errors import KvError, StorageError, StorageFailure, StorageUnavailable
from ...options import Secret
from ...wire.envelope import Envelope, decode_envelope
from ...wire.failures import failure_of
from ..connecting import needs_certificates
from ..trace_fields import TRACE_FIELDS
from ..unreached import because
from .url import Settings

KV: Final = "/v1/kv"
"""The path of values and keys, below the URL of the server."""

IDLE_SECONDS: Final = 4.0
"""How long an idle connection is kept: less than most servers and proxies keep it."""

SECRET_BYTES: Final = 64
UNSURE: Final = "the write may or may not have happened"

_NEVER_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout)
_CLOSED: Final = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)
"""What a connection that the server has closed raises."""


Response = httpx2.Response
_T = TypeVar("_T")
Query = dict[str, str | list[str]]
"""The parameters of a query; one with a list is repeated."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request of the native API."""

    method: str
    path: str
    """The path below the URL of the server."""
    query: Query = {}
    fields: Mapping[str, bytes] = {}
    body: bytes | None = None
    writes: bool = False
    has_key: bool = False
    """Whether it has an idempotency key, so that doing it twice has the same effect as once."""
    wait: float = 0.0
    """How many seconds the server may wait before it answers."""


ABOUT: Final = Request(method="GET", path=KV, query={"about": "true"})
"""Asks what the server can do."""


class Connection:
    """The connections to one server. The token goes to this server only: redirects are refused."""

    def __init__(self, settings: Settings, token: Secret | None) -> None:
        self._settings = settings
        self._token = token
        self._random = secrets.token_bytes(SECRET_BYTES)
        self._client: httpx2.AsyncClient | None = None
        self._ask: Callable[[], Awaitable[None]] | None = None
        self._sending = 0
        self._finished = asyncio.Event()

    @property
    def timeout(self) -> float:
        """How many seconds an operation may take."""
        return self._settings.timeout

    def late(self, is_sent: bool) -> StorageUnavailable:
        """Return the error for an operation that has taken too long."""
        unknown = f"; {UNSURE}" if is_sent else ""
        seconds = self._settings.timeout
        return StorageUnavailable(
            f"The server at {self._settings.host} did not answer within {seconds:g} s{unknown}"
        )

    def open(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Get ready to connect. Nothing is sent yet.

        `ask` asks what the server can do. Until it has succeeded, each request calls it first.
        """
        self._ask = ask
        # Requests of an event loop that has ended are never finished.
        self._sending = 0
        self._finished = asyncio.Event()
        headers = {"User-Agent": "workertown-kv"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.reveal()}"
        self._free = asyncio.Semaphore(self._settings.connections)
        self._client = httpx2.AsyncClient(
            headers=headers,
            limits=httpx2.Limits(
                # `_free` limits them, but not the requests that wait for changes.
                max_connections=None,
                max_keepalive_connections=self._settings.connections,
                keepalive_expiry=IDLE_SECONDS,
            ),
            # A proxy would read the token of a request without TLS.
            trust_env=self._settings.is_encrypted,
            follow_redirects=False,
            verify=needs_certificates(self._settings.base),
        )

    async def close(self) -> None:
        """Finish the requests under way, except those that only wait, and close the connections."""
        client, self._client = self._client, None
        while self._sending:
            self._finished.clear()
            await self._finished.wait()
        if client is not None:
            await client.aclose()

    def secret(self) -> bytes:
        """Return bytes that all servers with the token make, slowly, since clients may guess it."""
        if self._token is None:
            return self._random
        token = self._token.reveal().encode()
        return hashlib.scrypt(token, salt=b"workertown-kv", n=2**14, r=8, p=1, dklen=SECRET_BYTES)

    async def learn(self) -> None:
        """Ask what the server can do, if it has not answered yet. Raises `StorageError`."""
        ask = self._ask
        if ask is not None:
            await ask()
            # Meanwhile the storage may have been closed and opened again.
            if self._ask is ask:
                self._ask = None

    async def data(self, request: Request) -> bytes:
        """Return the data of the answer, as JSON text. Raises the error that the answer names."""
        return bytes(self._checked(await self._send(request)).data)

    async def response(self, request: Request) -> Response:
        """Return the answer. Raises the error that the answer names."""
        response = await self._send(request)
        self._checked(response)
        return response

    def _checked(self, response: Response) -> Envelope:
        envelope = decode_envelope(response.content)
        if envelope is None or envelope.status != response.status_code:
            raise self._no_answer(response)
        if not envelope.success:
            raise self._failure(envelope)
        return envelope

    async def _send(self, request: Request) -> Response:
        client = self._client
        if client is None:
            raise StorageUnavailable("The storage is closed")
        if self._ask is not None and request is not ABOUT:
            await self.learn()
        if request.wait:
            return await self._sent(client, request)
        self._sending += 1
        try:
            async with self._free_connection():
                return await self._sent(client, request)
        finally:
            self._sending -= 1
            if not self._sending:
                self._finished.set()

    @asynccontextmanager
    async def _free_connection(self) -> AsyncIterator[None]:
        """Wait until fewer requests than connections are under way."""
        if self._free.locked():
            try:
                async with asyncio.timeout(self._settings.timeout):
                    await self._free.acquire()
            except TimeoutError:
                raise StorageUnavailable(
                    f"All {self._settings.connections} connections to the server at "
                    f"{self._settings.host} are in use",
                    StorageFailure.BUSY,
                ) from None
        else:
            await self._free.acquire()
        try:
            yield
        finally:
            self._free.release()

    async def _sent(self, client: httpx2.AsyncClient, request: Request) -> httpx2.Response:
        try:
            try:
                return await self._once(client, request)
            except _CLOSED:
                if request.writes and not request.has_key:
                    raise
                # The server may have closed an idle connection at the moment of the request.
                return await self._once(client, request)
        except (httpx2.RequestError, OSError, RuntimeError) as error:
            # TLS alerts come as they are.
            raise self._unavailable(request, error) from error

    async def _once(self, client: httpx2.AsyncClient, request: Request) -> httpx2.Response:
        seconds = self._settings.timeout
        return await client.request(
            request.method,
            f"{self._settings.base}{request.path}{_query(request.query)}",
            headers=[
                *((name.encode(), value) for name, value in request.fields.items()),
                *TRACE_FIELDS.get(),
            ],
            content=request.body,
            timeout=httpx2.Timeout(seconds, read=seconds + request.wait),
        )

    def _unavailable(self, request: Request, error: Exception) -> StorageUnavailable:
        host = self._settings.host
        if self._client is None:
            return StorageUnavailable("The storage is closed")
        is_unsure = request.writes and not isinstance(error, _NEVER_SENT)
        if isinstance(error, httpx2.TimeoutException):
            return self.late(is_unsure)
        unknown = f"; {UNSURE}" if is_unsure else ""
        return StorageUnavailable(
            f"The server at {host} cannot be reached{because(error)}{unknown}"
        )

    def _failure(self, envelope: Envelope) -> KvError:
        error = failure_of(envelope.status, envelope.error, envelope.errors)
        host = self._settings.host
        if envelope.status == 401:
            sent = "refuses the token" if self._token else "needs a token"
            return StorageError(
                f"The server at {host} {sent}; expected one of its API keys", StorageFailure.REFUSED
            )
        if envelope.status == 403:
            return StorageError(
                f"The server at {host} does not permit this with the token: {envelope.error}",
                StorageFailure.REFUSED,
            )
        if type(error) is StorageError:
            return StorageError(f"The server at {host} failed: {envelope.error}", error.kind)
        return error

    def _no_answer(self, response: httpx2.Response) -> StorageError:
        host, status = self._settings.host, response.status_code
        if response.is_redirect:
            return StorageError(
                f"The server at {host} redirects elsewhere, where the token is not sent; expected "
                "the URL of the server itself"
            )
        if status in (502, 503, 504):
            return StorageUnavailable(f"What answers at {host} cannot reach the server: {status}")
        return StorageError(
            f"What answers at {host}{response.url.path} is no server of workertown-kv (status "
            f"{status}); expected the URL before /v1/kv"
        )


def read(data: bytes, decode: Callable[[bytes], _T]) -> _T:
    """Return what `decode` makes of the data in an answer."""
    try:
        return decode(data)
    except ValueError as error:
        raise StorageError("The server sent an answer of another form; is it older?") from error


def _query(query: Query) -> str:
    text = urlencode(query, doseq=True, quote_via=quote, safe="")
    return f"?{text}" if text else ""
