"""Send requests to any of the servers, whichever of them run."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import httpx2

from .ledger import Ledger
from .servers import API_KEY

_SECONDS: Final = 60
_PAUSE_SECONDS: Final = 0.05
_EXPECTED: Final = (200, 404, 410, 412, 503)
_TOO_LATE: Final = "Expected a time in the future"
"""The error if a lifetime ends while a request waits for a server that starts."""


class Client:
    """Sends each request to a server by chance. A context manager."""

    def __init__(self, urls: Sequence[str], ledger: Ledger) -> None:
        self._urls = urls
        self._ledger = ledger
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {API_KEY}"},
            timeout=_SECONDS,
            limits=httpx2.Limits(max_connections=None),
        )
        self.statuses = Counter[int]()

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.__aexit__(None, None, None)

    async def ask(self, method: str, path: str, **given: Any) -> httpx2.Response | None:
        """Return the answer of a server, or `None` if nobody knows what the request has done."""
        while True:
            try:
                answer = await self._http.request(method, random.choice(self._urls) + path, **given)
            except httpx2.ConnectError:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            except httpx2.TimeoutException:
                self._ledger.faults.append(f"{method} {path}: no answer within {_SECONDS} s")
                return None
            except httpx2.TransportError:
                return None
            if not self._note(answer, method, path):
                return None
            if answer.status_code == 503:
                await asyncio.sleep(_PAUSE_SECONDS)
                return None
            return answer

    async def certainly(self, method: str, path: str, **given: Any) -> httpx2.Response:
        """Repeat a request until it is answered."""
        while True:
            answer = await self.ask(method, path, **given)
            if answer is not None:
                return answer

    @asynccontextmanager
    async def stream(self, path: str, **given: Any) -> AsyncIterator[httpx2.Response]:
        """Open a stream of any server."""
        url = random.choice(self._urls) + path
        async with self._http.stream("GET", url, **given) as response:
            self._note(response, "GET", path)
            yield response

    def _note(self, answer: httpx2.Response, method: str, path: str) -> bool:
        """Return whether the status of an answer is one of those that a server may give."""
        status = answer.status_code
        self.statuses[status] += 1
        if status in _EXPECTED:
            return True
        text = answer.text if answer.is_closed else ""
        if status == 400 and _TOO_LATE in text:
            return True
        self._ledger.faults.append(f"{method} {path}: {status} {text}")
        return False


def version_of(answer: httpx2.Response) -> str:
    """Return the version in an answer."""
    return answer.headers["etag"].strip('"')
