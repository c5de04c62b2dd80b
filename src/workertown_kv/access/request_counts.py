"""Count requests in the sheet of the process."""

from bisect import bisect_left
from typing import Final

from ..http.exchange import Exchange
from ..http.route import OTHER
from ..meters.catalogue import LATENCY, RECEIVED, REQUESTS, SENT
from ..meters.sheet import Sheet

_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
"""The methods that are counted by their names, since a client may send any word."""

_BOUNDS: Final = LATENCY.bounds
_SUM: Final = len(_BOUNDS) + 1


class RequestCounts:
    """Adds each request to the cells of its route, method and status."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._cells = sheet.cells
        self._known: dict[tuple[str, str, int], tuple[int, int, int, int]] = {}
        """The positions of the count, the latencies, and the bytes in and out."""

    def observe(self, exchange: Exchange, seconds: float) -> None:
        """Count a request after its answer. Every request pays for each call here."""
        template = exchange.route.template or exchange.template
        kind = (template, exchange.method, exchange.status)
        count, latency, received, sent = self._known.get(kind) or self._positions(*kind)
        cells = self._cells
        cells[count] += 1
        cells[latency + bisect_left(_BOUNDS, seconds)] += 1
        cells[latency + _SUM] += seconds
        if exchange.method != "GET":  # whose bodies mean nothing
            cells[received] += exchange.received_bytes
        cells[sent] += exchange.sent_bytes

    def _positions(self, template: str, method: str, status: int) -> tuple[int, int, int, int]:
        route = (template, method if method in _METHODS else OTHER)
        place = self._sheet.position
        found = (
            place(REQUESTS, (*route, str(status))),
            place(LATENCY, route),
            place(RECEIVED, route),
            place(SENT, route),
        )
        if method in _METHODS:
            self._known[template, method, status] = found
        return found
