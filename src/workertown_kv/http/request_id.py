"""Name each request, so that its answer and all log lines about it can be found together."""

import os
import re
import secrets
from collections.abc import Callable
from itertools import count
from typing import Final

FIELD: Final = b"x-request-id"
"""The header field in which a client may name its request, and in which the answer repeats it."""

_ACCEPTED: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Makes ids that are unique among processes: a random number of the process, and a counter."""

    new: Callable[[], bytes]
    """Returns a new id, such as `6f1d3b0c52-1`."""

    def __init__(self) -> None:
        self._start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start)

    def _start(self) -> None:
        # Only functions written in C, since every request calls this.
        self.new = map(f"{secrets.token_hex(5)}-%d".encode().__mod__, count(1)).__next__


REQUEST_IDS: Final = RequestIds()


def accepted_id(field: bytes) -> bytes:
    """Return the id that a client has sent, or a new id if that may not be an id."""
    return field if _ACCEPTED.fullmatch(field) else REQUEST_IDS.new()
