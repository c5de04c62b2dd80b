"""Make the versions of entries: unique without coordination, and sortable by time."""

import secrets
import time


def new_version() -> str:
    """Make a version of 25 hexadecimal digits: microseconds since 1970, then 48 random bits."""
    return f"{time.time_ns() // 1000:013x}{secrets.token_hex(6)}"
