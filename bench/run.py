"""Runs scenarios one after another, within a budget of time."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from .measure import Subject, Values
from .programs import Missing
from .results import Result
from .scenarios import Scenario

Show = Callable[[str, float], None]
"""Shows what runs now, and about how many seconds are done."""


def plan(scenarios: Mapping[str, Scenario], minutes: float, rounds: int) -> float:
    """Return how many seconds each round of a load may take, so that all end in time.

    Raises `click.UsageError` if there is not even a second for each.
    """
    starts = sum(one.start_seconds * len(one.setups) for one in scenarios.values())
    samples = rounds * sum(len(one.setups) for one in scenarios.values())
    seconds = int((minutes * 60 - starts) / samples)
    if seconds < 1:
        needed = (starts + samples) / 60
        raise click.UsageError(
            f"{len(scenarios)} scenarios do not fit into {minutes:g} minutes; give --minutes "
            f"{needed + 0.5:.0f} or more, fewer --rounds, or the names of fewer scenarios"
        )
    return min(seconds, 10)


def expected_seconds(scenario: Scenario, rounds: int, seconds: float) -> float:
    """Return about how long a scenario takes."""
    return len(scenario.setups) * (scenario.start_seconds + rounds * seconds)


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
            try:
                show(f"{name}: start", scenario.start_seconds)
                subjects.append(
                    stack.enter_context(setup(Path(own), scenario.data, scenario.loads))
                )
            except Missing as missing:
                left_out.append(f"{name}: {missing.message}")
        seen: list[list[Mapping[str, Values]]] = [[] for _ in subjects]
        for number in range(rounds):
            for subject, samples in zip(subjects, seen, strict=True):
                show(f"{name}: {subject.name}, round {number + 1} of {rounds}", seconds)
                samples.append(subject.sample(scenario.loads, seconds))
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
        for load in scenario.loads
    ], left_out
