"""Send requests to Cloudflare's REST API, and again if that does no harm."""

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx2

from ...errors import KvError
from ...options import Secret
from ..connecting import needs_certificates
from .failures import Failure, failure_in, lost, too_many_requests

_NEVER_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_DEFAULT_PAUSE: Final = 1.0
"""How many seconds to pause if Cloudflare does not say. A key takes one write in a second."""


class Rest:
    """A client for what is below `url`, to which paths are relative.

    Nothing of a request may take longer than `timeout`. A request waits for `wait` in total while
    Cloudflare takes no more requests. `failure_of` makes the error for an answer that is not a
    success.
    """

    def __init__(
        self,
        url: str,
        token: Secret,
        *,
        timeout: float,
        wait: float,
        failure_of: Callable[[Failure], KvError],
    ) -> None:
        self._url = url
        self._wait = wait
        self._failure_of = failure_of
        self._free_at = -math.inf
        """When Cloudflare takes requests again, as a time of the event loop."""
        with_tls = url.startswith("https:")
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {token.reveal()}"},
            timeout=timeout,
            # A proxy of the environment would see the token of a request without TLS.
            trust_env=with_tls,
            verify=needs_certificates(url),
        )

    async def send(
        self, method: str, path: str, *, writes: bool = False, **given: Any
    ) -> httpx2.Response:
        """Return the answer to a request, which is a success. Raises `StorageError`.

        `given` are arguments of httpx2. A write is sent again only if it was certainly not done.
        """
        left = self._wait
        may_repeat = not writes
        while True:
            left = await self._pause(self._free_at - asyncio.get_running_loop().time(), left)
            try:
                response = await self._client.request(method, self._url + path, **given)
            except (httpx2.RequestError, OSError) as error:
                # TLS alerts come as they are.
                if may_repeat and not isinstance(error, httpx2.TimeoutException):
                    may_repeat = False
                    continue
                may_be_done = writes and not isinstance(error, _NEVER_SENT)
                raise lost(error, may_be_done=may_be_done) from error
            if response.status_code == 429:
                left = await self._pause(self._pause_of(response.headers), left)
            elif response.status_code == 200:
                return response
            else:
                raise self._failure_of(
                    failure_in(response.status_code, response.content, writes=writes)
                )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _pause_of(self, headers: Mapping[str, str]) -> float:
        """Return how long to pause after a refusal."""
        text = headers.get("retry-after", "")
        if not text.isdecimal():
            return _DEFAULT_PAUSE
        # Cloudflare refuses all other requests until then, too.
        self._free_at = max(self._free_at, asyncio.get_running_loop().time() + int(text))
        return float(text)

    async def _pause(self, seconds: float, left: float) -> float:
        """Pause, if there is time for it. Returns how much time is left."""
        if seconds <= 0:
            return left
        if seconds > left:
            raise too_many_requests(math.ceil(seconds))
        await asyncio.sleep(seconds)
        return left - seconds
