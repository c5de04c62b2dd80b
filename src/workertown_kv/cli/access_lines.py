"""Print a line for each request that `serve` has answered."""

from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quote
from time import time
from typing import Final
from urllib.parse import quote

from ..access.address import AddressOf
from ..access.log import PATH_BYTES, PRINTABLE, logged_path
from ..errors import InputError
from ..http.exchange import Exchange
from .log import LogFormat, utc
from .loop_lines import REQUESTS

MOST_CHARACTERS: Final = 256
"""The most characters of a method or a user that are logged; three dots replace the rest."""

_SHORT: Final = [f"{hundredths / 100:.2f}" for hundredths in range(1000)]
"""Durations of less than 10 ms, since a float takes long to format."""


class AccessLines:
    """Prints a line about each request.

    Every request waits for its line. So a line is a single format, and the time in it is written
    out only once in a millisecond.
    """

    def __init__(self, log_format: LogFormat, address_of: AddressOf) -> None:
        self._address_of = address_of
        self._line = _json_line if log_format == "json" else _text_line
        self._millisecond = 0
        self._time = ""

    def observe(self, exchange: Exchange, seconds: float) -> None:
        """Print a line about a request after its answer."""
        millisecond = int(time() * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._time = utc(millisecond / 1000)
        try:
            address = self._address_of(exchange)
        except InputError:
            address = None  # the proxy does not name the client properly
        sent = exchange.raw_path
        is_plain = sent and len(sent) <= PATH_BYTES and not sent.translate(None, PRINTABLE)
        path = sent.decode() if sent and is_plain else logged_path(exchange)
        hundredths = int(seconds * 100_000 + 0.5)
        elapsed = _SHORT[hundredths] if hundredths < len(_SHORT) else f"{seconds * 1000:.2f}"
        REQUESTS.write(self._line(exchange, path, elapsed, self._time, address))


def _text_line(
    exchange: Exchange, path: str, elapsed: str, moment: str, address: str | None
) -> str:
    return (
        f"{_plain(exchange.method)} {path} {exchange.status} {elapsed}ms "
        f"{moment} {address or '-'} {_plain(exchange.user.id)} "
        f"{exchange.received_bytes} {exchange.sent_bytes} {exchange.id.decode()}\n"
    )


def _json_line(
    exchange: Exchange, path: str, elapsed: str, moment: str, address: str | None
) -> str:
    return (
        f'{{"time": "{moment}", "level": "info", "event": "request", '
        f'"method": {_quoted(exchange.method)}, "path": {_quote(path)}, '
        f'"status": {exchange.status}, "elapsed_ms": {elapsed}, '
        f'"client": {_quoted(address)}, "user": {_quoted(exchange.user.id or None)}, '
        f'"received_bytes": {exchange.received_bytes}, "sent_bytes": {exchange.sent_bytes}, '
        f'"request_id": "{exchange.id.decode()}"}}\n'
    )


@lru_cache(maxsize=1024)
def _plain(text: str) -> str:
    """Return a text without spaces and line breaks, a hyphen for none."""
    return quote(_cut(text), safe=PRINTABLE) or "-"


@lru_cache(maxsize=1024)
def _quoted(text: str | None) -> str:
    return "null" if text is None else _quote(_cut(text))


def _cut(text: str) -> str:
    text = text.encode(errors="replace").decode()
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "..."
