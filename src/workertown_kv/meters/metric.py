"""Define what a metric is, and how the parts of a server report its present numbers."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple

import msgspec


class Kind(Enum):
    """The kinds of metrics that Prometheus knows."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Across(Enum):
    """How the gauges of several processes become one."""

    SUM = "the sum of all workers"
    LARGEST = "the largest of all workers"
    SMALLEST = "the smallest of all workers"


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric. Each combination of the texts of its labels is a series of numbers."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """The upper bounds of the buckets of a histogram, without infinity."""
    across: Across = Across.SUM

    @property
    def cells(self) -> int:
        """How many numbers a series has: a histogram has one for each bucket, and the sum."""
        return len(self.bounds) + 2 if self.kind is Kind.HISTOGRAM else 1


class Distribution:
    """Counts numbers by their size, in the buckets of a histogram."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, metric: Metric) -> None:
        self._bounds = metric.bounds
        self.counts = [0] * (len(metric.bounds) + 1)
        self.total = 0.0

    def add(self, number: float) -> None:
        """Count a number."""
        self.counts[bisect_left(self._bounds, number)] += 1
        self.total += number


class Measurement(NamedTuple):
    """The present number of a series. A counter and a distribution count from the start."""

    metric: Metric
    number: float | Distribution
    labels: tuple[str, ...] = ()
    """The text of each label, in the order of the metric."""


Source = Callable[[], Iterable[Measurement]]
"""Returns the present numbers of a part of the server."""
