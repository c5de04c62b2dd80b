"""Let the threads of a command take turns quickly."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SECONDS: Final = 0.0005


@contextmanager
def quick_turns() -> Iterator[None]:
    """Let a thread that waits for the interpreter lock have it after half a millisecond.

    By default it waits 5 ms. While the main thread decodes, the thread of SQLite would mostly wait.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
