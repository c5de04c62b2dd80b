"""Find the memory of the machine, and the part that bodies and answers may take."""

import os
from pathlib import Path
from typing import Final

from ..options import LimitsOptions

LEAST_BYTES: Final = 264 * 1024 * 1024
"""The least memory for bodies and answers, unless an option sets it."""

_OF_CONTROL_GROUP: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def memory_for(limits: LimitsOptions) -> int:
    """Return how many bytes the bodies and answers of all requests may take together."""
    least = max(limits.least_memory(), LEAST_BYTES)
    return limits.memory_bytes or max(_memory_of_machine() // 4, least)


def _memory_of_machine() -> int:
    """Return the memory of the machine or, if it is less, of its control group, as in a container.

    It is 0 if neither is known.
    """
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):
        return 0
    for file in _OF_CONTROL_GROUP:
        try:
            found.append(int(file.read_text()))
        except (OSError, ValueError):
            continue  # there is no such file, or it says that there is no limit
    return min(found)
