"""Record a request and its answer for observers, such as the access log."""

from typing import NamedTuple


class Record(NamedTuple):
    """One request and its answer."""

    method: str
    path: bytes
    """The path as it was sent, without the query."""
    status: int
    """The status of the answer; 0 if there was no answer."""
    seconds: float
