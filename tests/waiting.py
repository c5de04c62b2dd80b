"""Wait until something holds that other processes bring about."""

import time
from collections.abc import Callable


def wait_until(holds: Callable[[], bool]) -> None:
    """Ask again and again for up to a minute; fail if it does not hold by then."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
