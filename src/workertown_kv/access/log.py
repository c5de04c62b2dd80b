"""Log each request by a call of the operator's logger."""

from typing import Final
from urllib.parse import quote

from ..http.exchange import Exchange
from ..options import Logger

PATH_BYTES: Final = 1024
"""The most bytes of a path that are logged; three dots replace the rest."""

METHOD_CHARACTERS: Final = 20
"""The most characters of a method that are logged, since a method may be any word."""

_PRINTABLE: Final = bytes(range(0x21, 0x7F))


class AccessLog:
    """Gives the logger the method, the path as sent, the status, and how many seconds it took.

    The path is percent-encoded, even if the client has not done so, so that it has no line breaks.
    It is cut after `PATH_BYTES`. The query is left out, since it may have a key.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def observe(self, exchange: Exchange, seconds: float) -> None:
        """Log a request after its answer."""
        sent = exchange.raw_path or exchange.scope["path"].encode("unicode_escape")
        if sent.translate(None, _PRINTABLE) or len(sent) > PATH_BYTES:
            path = quote(sent[:PATH_BYTES], safe=_PRINTABLE)
            if len(sent) > PATH_BYTES:
                path += "..."
        else:
            path = sent.decode("ascii")
        self._logger(exchange.method[:METHOD_CHARACTERS], path, exchange.status, seconds)
