"""Import as a Worker does before its first request: without random numbers."""

import os
import sys


def _refuse(_: int) -> bytes:
    raise OSError("A Worker has no entropy before its first request")


_urandom, os.urandom = os.urandom, _refuse
try:
    import workertown_kv.runtime
    import workertown_kv.storage.cloudflare  # noqa: F401  (imported, which is all)
finally:
    os.urandom = _urandom

IMPORTED = frozenset(sys.modules)
