"""Wait until something holds that other processes bring about."""

import time
from collections.abc import Callable


def wait_until(holds: Callable[[], bool], seconds: float = 120) -> None:
    """Ask again and again. Raises `TimeoutError` if it does not hold within so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("It never came to that")
        time.sleep(0.01)
