"""Holds what a run has measured, and writes it to a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec

from .measure import RATE, Values


class Result(msgspec.Struct, frozen=True):
    """Holds the values of one load against one subject."""

    scenario: str
    about: str
    subject: str
    load: str
    connections: int
    rounds: Sequence[Values]

    @property
    def values(self) -> Values:
        """Return the medians of the rounds; of failures and disturbances, all that there were."""
        values = {name: median(one[name] for one in self.rounds) for name in self.rounds[0]}
        if RATE in values:
            values["failed"] = sum(one["failed"] for one in self.rounds)
            values["others"] = max(one["others"] for one in self.rounds)
        return values


class Run(msgspec.Struct, frozen=True):
    """Holds a whole run."""

    machine: str
    versions: Mapping[str, str]
    command: str
    started: str
    took_seconds: float
    seconds: float
    """How long each round of a load took."""
    rounds: int
    left_out: Sequence[str]
    """What was not measured, because a program is missing."""
    errors: Sequence[str]
    """What went wrong; the figures are not valid then."""
    results: Sequence[Result]

    def find(self, scenario: str, subject: str, load: str) -> Values | None:
        """Return the values of a load, or `None` if it was not measured."""
        for one in self.results:
            if (one.scenario, one.subject, one.load) == (scenario, subject, load):
                return one.values
        return None

    @property
    def failed(self) -> int:
        """Return how many requests did not get the right answer."""
        return int(sum(one.values.get("failed", 0) for one in self.results))

    @property
    def problems(self) -> Sequence[str]:
        """Return why the figures are not valid: nothing, if they are."""
        failed = [f"{self.failed:,} requests failed"] if self.failed else []
        return [*self.errors, *failed]


def save(run: Run, file: Path) -> None:
    """Write a run as JSON."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(run)) + b"\n")


def load(file: Path) -> Run:
    """Read a run that was saved."""
    return msgspec.json.decode(file.read_bytes(), type=Run)
