"""Write metrics in the formats of Prometheus. Only this module imports its library."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ...meters.board import Totals
from ...meters.catalogue import METRICS
from ...meters.metric import Kind
from ...meters.metric import Metric as Described

_WORKER: Final = "worker"

_Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

_FAMILIES: Final[Mapping[Kind, type[_Family]]] = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
    Kind.HISTOGRAM: HistogramMetricFamily,
}


def exposition(totals: Totals, processes: Sequence[int], accept: str) -> tuple[bytes, str]:
    """Return the metrics in a format that the client accepts, and the media type.

    `processes` are the ids of the processes of the workers.
    """
    encode, media_type = choose_encoder(accept)
    return encode(_Collected(totals, processes)), media_type


class _Collected(Collector):
    """Hands over numbers as the library wants them."""

    def __init__(self, totals: Totals, processes: Sequence[int]) -> None:
        self._totals = totals
        self._ids = processes

    def collect(self) -> Iterator[Metric]:
        families = {metric: _family(metric) for metric in METRICS.values()}
        for (metric, labels), cells in self._totals.items():
            family = families[metric]
            if isinstance(family, HistogramMetricFamily):
                *counts, total = cells
                bounds = [*map(floatToGoString, metric.bounds), "+Inf"]
                buckets = list(zip(bounds, accumulate(counts), strict=True))
                family.add_metric(labels, buckets, total)
            else:
                family.add_metric(labels, cells[0])
        yield from (family for family in families.values() if family.samples)
        yield from self._processes()

    def _processes(self) -> Iterator[Metric]:
        """Return the metrics of each process of a worker, as far as the system shows them."""
        found: dict[str, Metric] = {}
        for index, process in enumerate(self._ids):
            for family in _of_process(process):
                whole = found.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    whole.add_sample(sample.name, {_WORKER: str(index)}, sample.value)
        yield from found.values()


def _of_process(process: int) -> Iterator[Metric]:
    if process:
        yield from ProcessCollector(pid=lambda: process, registry=None).collect()


def _family(metric: Described) -> _Family:
    return _FAMILIES[metric.kind](metric.name, metric.meaning, labels=metric.labels)
