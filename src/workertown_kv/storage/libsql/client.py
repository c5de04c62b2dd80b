"""Send statements to a libSQL server, and again if that does no harm."""

import asyncio
from collections.abc import Sequence
from typing import Final

import httpx2
import msgspec

from ...errors import StorageUnavailable
from ...options import Secret
from ..connecting import needs_certificates, seconds_of_a_step
from ..remote_sqlite.client import Client
from ..remote_sqlite.database import Row
from ..sql.writing import Statement
from . import failures
from .url import Settings
from .wire import Answer, Failure, decoded, encoded

IDLE_SECONDS: Final = 4.0
"""How long an idle connection is kept: less than most servers and proxies keep it."""

STREAM_SECONDS: Final = 5.0
"""How long an idle stream is used again. A server ends it after 10 seconds."""

_NEVER_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class LibsqlClient(Client):
    """The connections to one database.

    A server opens a connection to the database for each stream, and keeps it for a while. So idle
    streams are used again.
    """

    def __init__(self, settings: Settings, token: Secret | None) -> None:
        self.seconds = settings.timeout
        self._settings = settings
        self._token = token
        self._client: httpx2.AsyncClient | None = None
        self._streams: list[tuple[str, float]] = []
        self._running = 0
        self._finished = asyncio.Event()

    def open(self) -> None:
        # Requests of an event loop that has ended are never finished.
        self._running = 0
        self._finished = asyncio.Event()
        self._streams = []
        base = self._settings.base
        headers = {"Content-Type": "application/json", "User-Agent": "workertown-kv"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.reveal()}"
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(None, connect=seconds_of_a_step(self.seconds)),
            limits=httpx2.Limits(keepalive_expiry=IDLE_SECONDS),
            # A proxy of the environment would see the token of a request without TLS.
            trust_env=base.startswith("https:"),
            verify=needs_certificates(base),
        )

    async def close(self) -> None:
        client, self._client = self._client, None
        while self._running:
            self._finished.clear()
            await self._finished.wait()
        if client is not None:
            await client.aclose()

    def late(self, is_sent: bool) -> StorageUnavailable:
        return failures.late(self._settings.host, self.seconds, may_be_done=is_sent)

    async def run(
        self, statements: Sequence[Statement], *, writes: bool
    ) -> Sequence[Sequence[Row]]:
        client = self._client
        if client is None:
            raise StorageUnavailable("The storage is closed")
        if not statements:
            return []
        self._running += 1
        try:
            async with asyncio.timeout(self.seconds):
                answer = await self._answer(client, statements, writes=writes)
        except TimeoutError as error:
            raise self.late(writes) from error
        finally:
            self._running -= 1
            if not self._running:
                self._finished.set()
        if answer.baton is not None and not (
            answer.leaves_transaction or answer.base_url not in (None, self._settings.base)
        ):
            self._streams.append((answer.baton, _now()))
        rows = answer.rows()
        if isinstance(rows, Failure):
            raise failures.failure_of_statement(rows, writes=writes)
        return rows

    async def _answer(
        self, client: httpx2.AsyncClient, statements: Sequence[Statement], *, writes: bool
    ) -> Answer:
        host = self._settings.host
        baton = self._stream()
        response = await self._post(client, encoded(statements, baton, writes=writes), writes)
        if baton is not None and response.status_code in (400, 404):
            # The server has ended the stream, and has done nothing.
            body = encoded(statements, None, writes=writes)
            response = await self._post(client, body, writes)
        if response.status_code != 200:
            raise failures.failure_of_request(
                response.status_code,
                response.content,
                host,
                response.headers.get("retry-after", ""),
                writes=writes,
            )
        try:
            return decoded(response.content)
        except (msgspec.DecodeError, RecursionError) as error:
            raise failures.foreign(host, writes=writes) from error

    async def _post(self, client: httpx2.AsyncClient, body: bytes, writes: bool) -> httpx2.Response:
        url = f"{self._settings.base}/v2/pipeline"
        try:
            try:
                return await client.post(url, content=body)
            except (httpx2.RequestError, OSError) as error:
                if writes or isinstance(error, (*_NEVER_SENT, httpx2.TimeoutException)):
                    raise
                # The server may have closed an idle connection at the moment of the request.
                return await client.post(url, content=body)
        except (httpx2.RequestError, OSError) as error:
            # TLS alerts come as they are.
            may_be_done = writes and not isinstance(error, _NEVER_SENT)
            raise failures.lost(self._settings.host, error, may_be_done=may_be_done) from error

    def _stream(self) -> str | None:
        """Return the baton of an idle stream; `None` if there is none."""
        while self._streams:
            baton, since = self._streams.pop()
            if _now() - since < STREAM_SECONDS:
                return baton
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()
