"""Make the versions of entries: unique without coordination, and sortable by time."""

import os
import time


def new_version() -> str:
    """Make a version of 25 hexadecimal digits: microseconds since 1970, then 48 random bits."""
    return f"{time.time_ns() // 1000:013x}{os.urandom(6).hex()}"
