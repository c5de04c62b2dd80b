"""Read the metrics of a server as Prometheus would."""

from collections.abc import Mapping
from typing import NamedTuple

import httpx2
from prometheus_client.parser import text_string_to_metric_families

TOKEN = "the-metrics-token"
TOKEN_FIELDS = {"Authorization": f"Bearer {TOKEN}"}


class Series(NamedTuple):
    """The name of a sample and its labels."""

    name: str
    labels: Mapping[str, str]


class Scrape:
    """The samples of one scrape."""

    def __init__(self, answer: httpx2.Response) -> None:
        assert answer.status_code == 200, answer.text
        self.text = answer.text
        families = [*text_string_to_metric_families(answer.text)]
        self.samples = [
            (Series(sample.name, sample.labels), sample.value)
            for family in families
            for sample in family.samples
        ]

    @property
    def names(self) -> set[str]:
        return {series.name for series, _ in self.samples}

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of the series with these labels; there must be at least one."""
        found = [
            value
            for series, value in self.samples
            if series.name == name and labels.items() <= series.labels.items()
        ]
        assert found, (name, labels)
        return sum(found)
