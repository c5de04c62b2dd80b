"""Fetch the documents of an issuer, within bounds of size and time."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from ...storage.connecting import seconds_of_a_step

if TYPE_CHECKING:
    import ssl

    import httpx2

_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=\"?(\d{1,9})", re.IGNORECASE)


class Document(NamedTuple):
    """A document that was fetched."""

    text: bytes
    max_age: int | None
    """For how many seconds it may be kept, if its `Cache-Control` says so."""


@asynccontextmanager
async def fetching(
    seconds: float, limit_bytes: int
) -> AsyncIterator[Callable[[str], Awaitable[Document]]]:
    """Yield a function that fetches a document. All documents together have this many seconds.

    The function raises an exception of any kind if it fails.
    """
    import httpx2  # noqa: PLC0415  (only servers with a key set need it)

    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    async with asyncio.timeout_at(deadline), httpx2.AsyncClient(verify=_trusted()) as client:

        async def fetch(url: str) -> Document:
            left = deadline - loop.time()
            client.timeout = httpx2.Timeout(seconds, connect=seconds_of_a_step(left))
            return await _fetch(client, url, limit_bytes)

        yield fetch


@cache
def _trusted() -> "ssl.SSLContext | bool":
    """Read the trusted certificates, but only once, since this delays other requests."""
    if sys.platform == "emscripten":  # the host fetches, with its own certificates
        return True
    import httpx2  # noqa: PLC0415  (only servers with a key set need it)

    return httpx2.create_ssl_context()


async def _fetch(client: "httpx2.AsyncClient", url: str, limit_bytes: int) -> Document:
    text = bytearray()
    # Without compression, the bytes that are counted are those of the document.
    headers = {"Accept-Encoding": "identity"}
    async with client.stream("GET", url, headers=headers, follow_redirects=False) as response:
        if response.has_redirect_location:
            raise ValueError(
                f"it was answered by {response.status_code}, a redirect, which is not followed"
            )
        if response.status_code != 200:
            raise ValueError(f"it was answered by {response.status_code}")
        async for chunk in response.aiter_raw():
            text += chunk
            if len(text) > limit_bytes:
                raise ValueError(f"it has more than {limit_bytes:,} bytes")
        found = _MAX_AGE.search(response.headers.get("Cache-Control", ""))
    return Document(bytes(text), int(found[1]) if found else None)
