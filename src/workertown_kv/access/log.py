"""The access log: one call for each request."""

from typing import Final
from urllib.parse import quote

from ..http.record import Record
from ..options import Logger

PATH_BYTES: Final = 1024
"""How much of a path is logged; three dots stand for the rest."""

METHOD_CHARACTERS: Final = 20
"""How much of a method is logged, which may be any word."""

_PRINTABLE: Final = bytes(range(0x21, 0x7F))


class AccessLog:
    """Gives the logger the method, the path as it was sent, the status, and seconds.

    The path is percent-encoded, also where it was not when it was sent, so it has no line breaks.
    One of more than `PATH_BYTES` is cut. The query, which may hold a key, is left out. Values are
    nowhere near.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def observe(self, record: Record) -> None:
        """Log a request that is over."""
        path = quote(record.path[:PATH_BYTES], safe=_PRINTABLE)
        if len(record.path) > PATH_BYTES:
            path += "..."
        self._logger(record.method[:METHOD_CHARACTERS], path, record.status, record.seconds)
