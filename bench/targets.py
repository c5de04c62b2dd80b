"""Compares the server with others and with itself, and knows what is aimed at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from .measure import BYTES, CPU, RATE
from .ours import BASE_NAME, NAME, UNRECORDED_NAME
from .peers.nginx import NAME as NGINX
from .peers.webdis import NAME as WEBDIS
from .results import Result, Run
from .scenarios import BASE, SCENARIOS

FIRST: Final = "first answer ms"
P50: Final = "p50 ms"
P99: Final = "p99 ms"
MEMORY: Final = "idle MB per worker"
PEAK: Final = "peak MB above idle"


@dataclass(frozen=True)
class Target:
    """Bounds a ratio, a value of ours, or how much more a figure of theirs is."""

    sign: Literal["≤", "≥"]
    bound: float
    of: Literal["ratio", "difference", "value"] = "ratio"
    aim: float | None = None
    """What is aimed at beyond the bound."""

    def is_met(self, reached: float) -> bool:
        """Return whether a figure is within the bound."""
        return reached <= self.bound if self.sign == "≤" else reached >= self.bound

    def __str__(self) -> str:
        aim = "" if self.aim is None else f" (aim {self.aim:g})"
        of = "difference " if self.of == "difference" else ""
        return f"{of}{self.sign} {self.bound:g}{aim}"


@dataclass(frozen=True)
class Comparison:
    """Sets a result of ours beside that of another, or by itself."""

    ours: Result
    other: str = ""
    """What it is compared with; empty where it stands by itself."""
    theirs: Mapping[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> str:
        """Return what counts as speed here: bytes a second for large values."""
        return BYTES if BYTES in self.ours.values and BYTES in self.theirs else RATE

    def ratio(self, measure: str) -> float:
        """Return ours divided by theirs."""
        return self.ours.values[measure] / self.theirs[measure] if self.theirs[measure] else 0.0

    def targets(self) -> Iterator[tuple[str, Target, float]]:
        """Return the measures that have a target, with what was reached."""
        for measure, value in self.ours.values.items():
            target = TARGETS.get((self.ours.scenario, self.ours.load, measure, self.other))
            if target is None:
                continue
            if target.of == "value":
                yield measure, target, value
            elif target.of == "difference":
                yield measure, target, self.theirs[measure] - value
            else:
                yield measure, target, self.ratio(measure)


_TWICE: Final = Target("≥", 2.0)
TARGETS: Final[Mapping[tuple[str, str, str, str], Target]] = {
    (BASE, "GET", CPU, WEBDIS): Target("≤", 1.25, aim=1.0),
    (BASE, "GET", CPU, NGINX): Target("≤", 2.0, aim=1.6),
    (BASE, "GET", RATE, WEBDIS): Target("≥", 0.7, aim=0.85),
    ("workers-2", "GET", RATE, WEBDIS): Target("≥", 0.9, aim=1.0),
    ("missing", "GET", CPU, BASE_NAME): Target("≤", 1.0),
    ("unchanged", "GET", CPU, BASE_NAME): Target("≤", 1.0),
    ("log-off", "GET", CPU, BASE_NAME): Target("≤", 2.0, "difference"),
    ("keys-10m", "GET", CPU, BASE_NAME): Target("≤", 1.2),
    ("put", "PUT", CPU, WEBDIS): Target("≤", 1.0),
    ("put", "PUT", RATE, WEBDIS): Target("≥", 0.8),
    ("readers-and-writers", "GET", RATE, BASE_NAME): Target("≥", 0.85),
    ("readers-and-writers", "PUT", P50, ""): Target("≤", 2, "value"),
    ("readers-and-writers", "PUT", P99, ""): Target("≤", 10, "value"),
    ("changes", "PUT", RATE, UNRECORDED_NAME): Target("≥", 0.9),
    ("changes-postgres", "PUT", RATE, UNRECORDED_NAME): Target("≥", 0.7),
    ("changes-mariadb", "PUT", RATE, UNRECORDED_NAME): Target("≥", 0.7),
    ("changes-redis", "PUT", RATE, UNRECORDED_NAME): Target("≥", 0.7),
    ("get-25mib", "GET 25 MiB", BYTES, ""): Target("≥", 300, "value"),
    ("get-25mib", "GET 25 MiB", PEAK, ""): Target("≤", 79, "value"),
    ("get-25mib-beside", "GET 404", P99, ""): Target("≤", 40, "value"),
    ("put-25mib", "PUT", BYTES, "apsw in process"): Target("≥", 0.6),
    ("put-25mib", "PUT", PEAK, ""): Target("≤", 79, "value"),
    ("put-25mib-beside", "GET 404", P99, ""): Target("≤", 40, "value"),
    ("start", "start", FIRST, ""): Target("≤", 400, "value"),
    ("start", "start", MEMORY, ""): Target("≤", 60, "value"),
    ("start-2", "start", MEMORY, ""): Target("≤", 60, "value"),
    ("get-postgres", "GET", RATE, "asyncpg, one by one"): _TWICE,
    ("put-postgres", "PUT", RATE, "asyncpg, one by one"): _TWICE,
    ("get-mariadb", "GET", RATE, "asyncmy, one by one"): Target("≥", 1.2),
    ("put-mariadb", "PUT", RATE, "asyncmy, one by one"): Target("≥", 1.0),
    ("get-redis", "GET", RATE, "redis-py, one by one"): Target("≥", 1.5),
    ("put-redis", "PUT", RATE, "redis-py, one by one"): Target("≥", 1.0),
}
"""What is aimed at, by scenario, load, measure and what it is compared with."""


def comparisons(run: Run) -> Iterator[Comparison]:
    """Return each result of ours beside all others of its scenario, or else the base case."""
    for ours in run.results:
        if ours.subject == NAME:
            yield from _with_others(run, ours)
            yield from _with_ours(run, ours)
            alone = Comparison(ours)
            if any(alone.targets()):
                yield alone


def _with_others(run: Run, ours: Result) -> Iterator[Comparison]:
    for other in run.results:
        same = (other.scenario, other.load) == (ours.scenario, ours.load)
        if same and other.subject != NAME:
            yield Comparison(ours, other.subject, other.values)


def _with_ours(run: Run, ours: Result) -> Iterator[Comparison]:
    beside = SCENARIOS[ours.scenario].beside
    if run.find(ours.scenario, BASE_NAME, ours.load):
        return  # measured by turns with ours, which is better
    if beside != ours.scenario and (base := run.find(beside, NAME, ours.load)):
        name = BASE_NAME if beside == BASE else f"{NAME}, {SCENARIOS[beside].about}"
        yield Comparison(ours, name, base)
