"""Fetch the key set of an issuer, cache it, and fetch it again when its keys change."""

import asyncio
import logging
from collections.abc import Sequence
from math import inf
from typing import Final

from joserfc.jwk import Key

from ...failure_log import FailureLog
from ...options import JwksOptions
from ...storage import Clock
from .discovery import discover_key_set
from .fetch import Document, fetching
from .keys import PublicKeys, public_keys
from .refusal import TokenRefused

_LOG: Final = logging.getLogger("workertown_kv")


class KeySet:
    """The keys that an issuer publishes at a URL, or at the URL in its discovery document.

    The keys are used for `cache_ttl` seconds, and longer while the issuer does not answer. If the
    issuer sends a shorter `max-age`, they are fetched again after that, but no request waits for
    it. They are also fetched for an unknown key id, at most once in `refetch_seconds`, so that
    tokens with invented ids cannot make the server flood the issuer. Requests that wait share one
    fetch.
    """

    def __init__(
        self, url: str | None, issuer: str | None, options: JwksOptions, clock: Clock
    ) -> None:
        self._url = url
        self._issuer = issuer
        self._options = options
        self._clock = clock
        self._log = FailureLog(clock)
        self._keys = PublicKeys()
        self._text = b""
        self._fetch: asyncio.Task[None] | None = None
        self._is_down = False
        self._blocked_until = -inf
        """Until when the server fetches nothing, since the issuer did not answer."""
        self._unknown_until = -inf
        """Until when the server fetches nothing for an unknown key id."""
        self._usable_until = -inf
        """Until when requests use the keys while they are fetched again."""
        self.fresh_until = -inf
        """Until when the keys are used without fetching them again."""
        self.revision = 0
        """A number that changes with the keys."""

    async def keys(self, kid: str | None) -> Sequence[Key]:
        """Return the keys that may have signed a token with this key id; all keys for `None`.

        Raises `TokenRefused` if there are no such keys.
        """
        await self._ensure(kid)
        found = self._keys.of_id(kid)
        if not found:
            raise TokenRefused("key", self._keys.why_none(kid))
        return found

    async def _ensure(self, kid: str | None) -> None:
        """Fetch the keys if that is necessary for a token with this key id."""
        found = self._keys.of_id(kid)
        now = self._clock()
        if now >= self.fresh_until:
            task = self._start()
            # A request for which the old keys are enough does not wait, least of all while the
            # issuer is down.
            has_keys = found and (self._is_down or now < self._usable_until)
            if task is not None and not has_keys:
                await asyncio.shield(task)
            return
        if found and not self._keys.may_lack(kid):
            return
        task = self._running()
        if task is None and now >= self._unknown_until:
            self._unknown_until = now + self._options.refetch_seconds
            task = self._start()
        # Nobody waits for an issuer that is down while a key fits.
        if task is not None and not (found and self._is_down):
            await asyncio.shield(task)

    def _running(self) -> asyncio.Task[None] | None:
        """Return the fetch that is under way. It goes on if a request stops waiting for it."""
        task = self._fetch
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            return None
        return task

    def _start(self) -> asyncio.Task[None] | None:
        """Return the fetch that is under way, or begin it; `None` if it is too early to fetch."""
        task = self._running()
        if task is None and self._clock() >= self._blocked_until:
            task = self._fetch = asyncio.create_task(self._fetch_keys())
        return task

    async def _fetch_keys(self) -> None:
        try:
            text, max_age = await self._download()
            if text != self._text:
                self._use(public_keys(text))
                self._text = text
        except Exception as error:  # noqa: BLE001  (after any error, the issuer gave no keys)
            self._is_down = True
            self._blocked_until = self._clock() + self._options.refetch_seconds
            if self._keys.used:
                self.fresh_until = max(self.fresh_until, self._blocked_until)
            what = "the keys it gave before stay in use" if self._keys.used else "no token fits"
            name = self._label()
            self._log.failed("fetch", f"{name} cannot be fetched, {what}: {error!r:.500}")
        else:
            self._is_down = False
            self._log.recovered(f"{self._label()} can be fetched again")
            now, ttl = self._clock(), self._options.cache_ttl or 0
            self._usable_until = now + ttl
            # Some issuers send a `max-age` of a few seconds.
            lifetime = ttl if max_age is None else max(max_age, self._options.refetch_seconds)
            self.fresh_until = now + min(ttl, lifetime)

    def _use(self, keys: PublicKeys) -> None:
        self._keys = keys
        self.revision += 1
        if keys.faulty:
            _LOG.warning("%s has keys that are not used: %s", self._label(), keys.why_left_out())
        if not keys.used:
            _LOG.warning("%s has no key that verifies signatures", self._label())

    async def _download(self) -> Document:
        """Fetch the document with the key set."""
        options = self._options
        async with fetching(options.timeout_seconds, options.limit_bytes) as fetch:
            url = self._url
            if url is None:
                assert self._issuer is not None
                url = await discover_key_set(self._issuer, fetch)
            return await fetch(url)

    def _label(self) -> str:
        # The URL is not shown, since it may have a credential in it.
        return f"The key set of {self._issuer!r}" if self._issuer else "The key set"
