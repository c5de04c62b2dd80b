"""Keep the numbers of a process in a block of memory that other processes may read."""

import math
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from .metric import Kind, Metric

_HEADER_BYTES: Final = 16
_NAMES_BYTES: Final = 1024 * 1024 - _HEADER_BYTES
_CELLS_BYTES: Final = 512 * 1024
SHEET_BYTES: Final = _HEADER_BYTES + _NAMES_BYTES + _CELLS_BYTES
"""The size of a sheet. The system provides only the pages of it that are written."""

_SPARE_CELLS: Final = 64
"""The first cells, which are never read: series for which there is no space use them."""

Labels = tuple[str, ...]


class Sheet:
    """The series of a process, each with its name and its cells.

    One thread of a process adds to `cells` at the position of a series; nothing is locked. The
    names are lines of JSON, and a series has the cells after those of the line before, so that a
    process that only reads needs to know nothing else. The process that replaces one that has died
    goes on with its numbers.
    """

    def __init__(self, block: memoryview, metrics: Mapping[str, Metric]) -> None:
        """Use a block of `SHEET_BYTES`, which is all zeros at first."""
        self._metrics = metrics
        self._header = block[:_HEADER_BYTES].cast("Q")
        self._names = block[_HEADER_BYTES : _HEADER_BYTES + _NAMES_BYTES]
        self.cells = block[_HEADER_BYTES + _NAMES_BYTES :].cast("d")
        self._positions: dict[tuple[str, Labels], int] = {}
        self._read_bytes = 0
        self._next = _SPARE_CELLS

    @property
    def process(self) -> int:
        """The id of the process that writes the sheet, 0 if there was none."""
        return self._header[1]

    @process.setter
    def process(self, process: int) -> None:
        self._header[1] = process

    def position(self, metric: Metric, labels: Labels = ()) -> int:
        """Return the position of the first cell of a series, which is made if it is new."""
        self._read_names()
        found = self._positions.get((metric.name, labels))
        if found is not None:
            return found
        line = msgspec.json.encode((metric.name, *labels)) + b"\n"
        end = self._read_bytes + len(line)
        if end > len(self._names) or self._next + metric.cells > len(self.cells):
            return 0
        self._names[self._read_bytes : end] = line
        self._header[0] = end  # last, since another process may read at any moment
        self._read_names()
        return self._positions[metric.name, labels]

    def add(self, metric: Metric, labels: Labels = (), number: float = 1) -> None:
        """Add to a counter."""
        self.cells[self.position(metric, labels)] += number

    def set(self, metric: Metric, number: float, labels: Labels = ()) -> None:
        """Set a gauge."""
        self.cells[self.position(metric, labels)] = number

    def series(self) -> Iterator[tuple[Metric, Labels, int]]:
        """Return each series and the position of its first cell."""
        self._read_names()
        for (name, labels), position in self._positions.items():
            yield self._metrics[name], labels, position

    def forget_gauges(self) -> None:
        """Make all gauges unknown, since those of a process that has died mean nothing."""
        for metric, _, position in self.series():
            if metric.kind is Kind.GAUGE:
                self.cells[position] = math.nan

    def _read_names(self) -> None:
        end = self._header[0]
        if end == self._read_bytes:
            return
        for line in bytes(self._names[self._read_bytes : end]).splitlines():
            name, *labels = msgspec.json.decode(line, type=list[str])
            self._positions[name, tuple(labels)] = self._next
            self._next += self._metrics[name].cells
        self._read_bytes = end
