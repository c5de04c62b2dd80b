"""Make the versions of entries: unique without coordination, and sortable by time."""

import os
import time
from random import Random
from typing import Final

_RANDOM: Final = Random()  # noqa: S311  (a version only has to be unique)
"""The system seeds it once: asking the system for each version takes three times as long."""

# A forked process would otherwise make the same numbers.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_RANDOM.seed)


def new_version() -> str:
    """Make a version of 25 hexadecimal digits: microseconds since 1970, then 48 random bits."""
    return f"{time.time_ns() // 1000:013x}{_RANDOM.getrandbits(48):012x}"
