"""Hold the sheets of all processes of a server, and add their numbers up."""

import math
import mmap
from collections.abc import Mapping

from .catalogue import METRICS
from .metric import Across, Kind, Metric
from .sheet import SHEET_BYTES, Labels, Sheet

Totals = Mapping[tuple[Metric, Labels], list[float]]
"""The cells of each series, over all processes."""


class Board:
    """The sheets of the workers, and that of their main process.

    A board that is `shared` is made before the workers are forked, and all of them see it.
    """

    def __init__(self, workers: int = 1, *, shared: bool = False) -> None:
        size = (workers + 1) * SHEET_BYTES
        block = memoryview(_pages(size, shared=shared))
        *self.workers, self.main = (
            Sheet(block[start : start + SHEET_BYTES], METRICS)
            for start in range(0, size, SHEET_BYTES)
        )

    def processes(self) -> list[int]:
        """Return the process id of each worker, 0 for a worker that has published nothing."""
        return [sheet.process for sheet in self.workers]

    def totals(self) -> Totals:
        """Return the numbers of all processes together."""
        totals: dict[tuple[Metric, Labels], list[float]] = {}
        for sheet in (*self.workers, self.main):
            for metric, labels, position in sheet.series():
                cells = list(sheet.cells[position : position + metric.cells])
                if math.isnan(cells[0]):
                    continue
                before = totals.get((metric, labels))
                totals[metric, labels] = cells if before is None else _both(metric, before, cells)
        return totals


def _pages(size: int, *, shared: bool) -> mmap.mmap:
    """Return memory that is taken only where it is written."""
    if shared or not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    # A host may fork after the server was made. Its processes know nothing of one another.
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _both(metric: Metric, one: list[float], other: list[float]) -> list[float]:
    if metric.kind is Kind.GAUGE and metric.across is not Across.SUM:
        choose = max if metric.across is Across.LARGEST else min
        return [choose(*pair) for pair in zip(one, other, strict=True)]
    return [sum(pair) for pair in zip(one, other, strict=True)]
