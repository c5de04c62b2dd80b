"""Write the numbers of the parts of a server into the sheet of its process."""

import os
from collections.abc import Iterable

from .metric import Distribution, Kind, Measurement, Metric, Source
from .sheet import Labels, Sheet


class Publisher:
    """Publishes what its sources measure.

    What a counter has counted since the last time is added to the sheet, so that the sheet goes on
    counting when a source begins again, as after a reload.
    """

    def __init__(self, sheet: Sheet, sources: Iterable[Source] = ()) -> None:
        self.sources = [*sources]
        self._sheet = sheet
        self._published: dict[tuple[Metric, Labels], list[float]] = {}

    def publish(self, *, gauges: bool = True) -> None:
        """Bring the sheet up to date, or only its counters if the parts have been closed."""
        self._sheet.process = os.getpid()
        for source in self.sources:
            self._write(source(), gauges=gauges)

    def _write(self, measurements: Iterable[Measurement], *, gauges: bool) -> None:
        cells = self._sheet.cells
        for metric, number, labels in measurements:
            position = self._sheet.position(metric, labels)
            if metric.kind is Kind.GAUGE:
                if gauges:
                    assert not isinstance(number, Distribution)
                    cells[position] = number
                continue
            numbers = (
                [*map(float, number.counts), number.total]
                if isinstance(number, Distribution)
                else [float(number)]
            )
            before = self._published.get((metric, labels))
            if before is None or any(map(float.__lt__, numbers, before)):
                before = [0.0] * len(numbers)  # the source has begun again
            self._published[metric, labels] = numbers
            for index, (now, then) in enumerate(zip(numbers, before, strict=True)):
                cells[position + index] += now - then
