"""What is known of an exchange once it is over, for what watches the server."""

from typing import NamedTuple


class Record(NamedTuple):
    """One request and its answer."""

    method: str
    path: bytes
    """The path as it was sent, without the query."""
    status: int
    """That of the answer; 0 where there was none."""
    seconds: float
    sent_bytes: int
    """How much of the body of the answer was sent."""
    api: str
    template: str
    """The path without what may be a key, as `/open-api.json` writes it."""
