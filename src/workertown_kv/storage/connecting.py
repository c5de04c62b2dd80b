"""Decide how HTTP clients of httpx2 connect."""

import sys


def needs_certificates(url: str) -> bool:
    """Return the `verify` of a client of httpx2 that only sends requests to this URL.

    Certificates take 40 ms to load. In Pyodide, `fetch` has its own, and httpx2 warns about any
    other value than the default.
    """
    return sys.platform == "emscripten" or url.startswith("https:")


def seconds_of_a_step(seconds: float) -> float:
    """Return the `connect` timeout with which httpx2 has connected, or failed, in these seconds.

    httpx2 permits that time for TCP and name resolution, and as much again for TLS. A request that
    is cancelled as a whole must not be connecting any more: httpx2 does not close a connection
    whose TLS handshake is cancelled.
    """
    return seconds * 0.45
