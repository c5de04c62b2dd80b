"""Decide whether an HTTP client needs certificates."""

import sys


def needs_certificates(url: str) -> bool:
    """Return the `verify` of a client of httpx2 that only sends requests to this URL.

    Certificates take 40 ms to load. In Pyodide, `fetch` has its own, and httpx2 warns about any
    other value than the default.
    """
    return sys.platform == "emscripten" or url.startswith("https:")
