"""The key set of an issuer: fetched, cached, and fetched again when its keys change."""

import asyncio
import logging
from collections.abc import Sequence
from math import inf
from typing import Final
from urllib.parse import urlsplit

from joserfc.jwk import Key

from ...options import JwksOptions
from ...storage import Clock
from .jose import public_keys

_LOG: Final = logging.getLogger("workertown_kv")
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


class KeySet:
    """The keys that an issuer publishes at a URL.

    They are used for `cache_ttl` seconds, and longer while the issuer does not answer. An unknown
    key id has them fetched again, at most once in `refetch_seconds`, so that tokens with made-up
    ids cannot be used to hammer the issuer. Many who wait share one fetch. Raises `ValueError` for
    a URL that cannot be fetched.
    """

    def __init__(self, url: str, options: JwksOptions, clock: Clock) -> None:
        self._url = url
        self._options = options
        self._clock = clock
        self._keys: Sequence[Key] = ()
        self._text = b""
        self._fetch: asyncio.Task[None] | None = None
        self._is_down = False
        self._blocked_until = -inf
        """Until when the issuer is not asked, since it did not answer."""
        self._unknown_until = -inf
        """Until when unknown key ids do not have the keys fetched."""
        self.fresh_until = -inf
        """Until when the keys are used without asking again."""
        self.revision = 0
        """Another number for other keys."""
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("the URL of the key set is none that starts with https://")
        if parts.scheme != "https" and parts.hostname not in _LOCAL:
            _LOG.warning("The key set is not fetched by https; whoever is on the way can change it")

    async def keys(self, kid: str | None) -> Sequence[Key]:
        """The keys that may have signed a token with this key id; all of them where it has none."""
        found = self._matching(kid)
        if self._clock() >= self.fresh_until:
            fetch = self._started()
            # While the issuer is known to be down, nobody waits for it who can do without.
            if fetch is not None and not (self._is_down and found):
                await asyncio.shield(fetch)
            return self._matching(kid)
        if found:
            return found
        fetch = self._under_way()
        if fetch is None and self._clock() >= self._unknown_until:
            self._unknown_until = self._clock() + self._options.refetch_seconds
            fetch = self._started()
        if fetch is not None:
            await asyncio.shield(fetch)
        return self._matching(kid)

    def _matching(self, kid: str | None) -> Sequence[Key]:
        if kid is None:
            return self._keys
        return [key for key in self._keys if key.kid in (kid, None)]

    def _under_way(self) -> asyncio.Task[None] | None:
        """The fetch that others wait for already. It goes on where one of them gives up."""
        fetch = self._fetch
        if fetch is None or fetch.done() or fetch.get_loop() is not asyncio.get_running_loop():
            return None
        return fetch

    def _started(self) -> asyncio.Task[None] | None:
        """A fetch, begun now unless one is under way; `None` where it is too early for one."""
        fetch = self._under_way()
        if fetch is None and self._clock() >= self._blocked_until:
            fetch = self._fetch = asyncio.create_task(self._fetch_keys())
        return fetch

    async def _fetch_keys(self) -> None:
        try:
            text = await _fetched(self._url, self._options)
            if text != self._text:
                self._keys, self._text = public_keys(text), text
                self.revision += 1
                if not self._keys:
                    _LOG.warning("The key set has no key that verifies signatures")
        except Exception as error:  # noqa: BLE001  (whatever it is, the issuer gave no keys)
            self._is_down = True
            self._blocked_until = self._clock() + self._options.refetch_seconds
            if self._keys:
                self.fresh_until = max(self.fresh_until, self._blocked_until)
            what = "the keys it gave before stay in use" if self._keys else "no token fits"
            _LOG.warning("The key set cannot be fetched, %s: %.500r", what, error)
        else:
            self._is_down = False
            self.fresh_until = self._clock() + (self._options.cache_ttl or 0)


async def _fetched(url: str, options: JwksOptions) -> bytes:
    """What the URL gives. Raises whatever keeps it from giving a key set of the size allowed."""
    import httpx2  # noqa: PLC0415  (only servers with a key set need it)

    text = bytearray()
    async with (
        asyncio.timeout(options.timeout_seconds),
        httpx2.AsyncClient(timeout=options.timeout_seconds) as client,
        # Without compression, so that what is read is what is counted.
        client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response,
    ):
        if response.status_code != 200:
            raise ValueError(f"It was answered by {response.status_code}")
        async for chunk in response.aiter_raw():
            text += chunk
            if len(text) > options.limit_bytes:
                raise ValueError(f"It has more than {options.limit_bytes:,} bytes")
    return bytes(text)
