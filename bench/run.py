"""Runs scenarios one after another, within a budget of time."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click

from .measure import Subject, Values
from .programs import Missing
from .results import Result
from .scenarios import Scenario

Show = Callable[[str, float], None]
"""Shows what runs now, and about how many seconds are done."""

_BETWEEN: Final = 0.3
"""The seconds that a round takes besides its load, about."""


def plan(scenarios: Mapping[str, Scenario], minutes: float, rounds: int) -> float:
    """Return how many seconds each round of a load may take, so that all end in time.

    Raises `click.UsageError` if there is not even a second for each.
    """
    least = sum(expected_seconds(one, rounds, 0) for one in scenarios.values())
    samples = rounds * sum(len(one.setups) for one in scenarios.values())
    seconds = int((minutes * 60 - least) / samples)
    if seconds < 1:
        needed = (least + samples) / 60
        raise click.UsageError(
            f"{len(scenarios)} scenarios do not fit into {minutes:g} minutes; give --minutes "
            f"{needed + 0.5:.0f} or more, fewer --rounds, or the names of fewer scenarios"
        )
    return min(seconds, 10)


def expected_seconds(scenario: Scenario, rounds: int, seconds: float) -> float:
    """Return about how long a scenario takes."""
    return len(scenario.setups) * (scenario.start_seconds + rounds * (seconds + _BETWEEN))


def run_scenario(
    name: str, scenario: Scenario, folder: Path, rounds: int, seconds: float, show: Show
) -> tuple[Sequence[Result], Sequence[str]]:
    """Measure all subjects of a scenario by turns; return the results and what was left out.

    All of them run all the time, so that the machine treats each alike, but only one has a load.
    """
    left_out = []
    with ExitStack() as stack:
        subjects: list[Subject] = []
        for setup in scenario.setups:
            own = stack.enter_context(tempfile.TemporaryDirectory(dir=folder))
            show(f"{name}: start", scenario.start_seconds)
            try:
                started = setup(Path(own), scenario.data, scenario.loads)
                subjects.append(stack.enter_context(started))
            except Missing as missing:
                left_out.append(missing.message)
        seen: list[list[Mapping[str, Values]]] = [[] for _ in subjects]
        for number in range(rounds):
            for subject, samples in zip(subjects, seen, strict=True):
                show(f"{name}: {subject.name}, round {number + 1} of {rounds}", seconds)
                samples.append(subject.sample(seconds))
    return [
        Result(
            scenario=name,
            about=scenario.about,
            subject=subject.name,
            load=load.name,
            connections=load.connections,
            rounds=[sample[load.name] for sample in samples],
        )
        for subject, samples in zip(subjects, seen, strict=True)
        for load in subject.loads
    ], left_out
