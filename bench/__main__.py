"""The command: `python -m bench --help`."""

import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from .engines import DidNotStart
from .machine import file_system, machine, versions
from .page import write_page
from .plots import draw
from .programs import find
from .progress import Progress
from .report import report
from .results import Result, Run, load, save
from .run import expected_seconds, plan, run_scenario
from .scenarios import SCENARIOS

_DEFAULT = [name for name, one in SCENARIOS.items() if not one.by_name_only]
_EPILOG = "\b\nScenarios:\n" + "\n".join(
    f"  {name:<19} {one.about}{' (only by name)' if one.by_name_only else ''}"
    for name, one in SCENARIOS.items()
)


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, type=click.Choice([*SCENARIOS, "all"]), metavar="[SCENARIO]...")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=15.0,
    show_default=True,
    help="Time that the run may take.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How often each load runs; the figures are medians.",
)
@click.option(
    "--seconds",
    type=click.IntRange(min=1),
    help="Time of each round, instead of what fits into --minutes.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".bench"),
    show_default=True,
    help="Folder for results.json and the plots.",
)
@click.option(
    "--write-docs", is_flag=True, help="Write the figures and plots into docs/performance.md too."
)
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Measure nothing; report a results.json again.",
)
def main(
    *, names: Sequence[str], minutes: float, rounds: int, seconds: int | None, output: Path,
    write_docs: bool, source: Path | None,
) -> None:  # fmt: skip
    """Measure the server beside others, and print a report in Markdown.

    Without names, all scenarios run but those that run only by name; `all` runs these too. The
    servers keep their files in TMPDIR, or in a folder that is made here for the time.
    """
    chosen = _chosen(names)
    if write_docs and not source and not set(_DEFAULT) <= set(chosen):
        raise click.UsageError("--write-docs needs a whole run; give no names, or 'all'")
    run = load(source) if source else _measure(chosen, minutes, rounds, seconds)
    output.mkdir(parents=True, exist_ok=True)
    save(run, output / "results.json")
    draw(run, output)
    click.echo(report(run))
    if run.problems:
        problems = "\n".join(run.problems)
        raise click.ClickException(f"{problems}\nThese figures are not valid.")
    if write_docs:
        write_page(run)


def _chosen(names: Sequence[str]) -> Sequence[str]:
    if "all" in names:
        return list(SCENARIOS)
    # In the order of the list: the base case first.
    return [name for name in SCENARIOS if name in (names or _DEFAULT)]


def _measure(names: Sequence[str], minutes: float, rounds: int, seconds: int | None) -> Run:
    # Whatever ends the bench, the servers are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    find("wrk")
    scenarios = {name: SCENARIOS[name] for name in names}
    each = seconds or plan(scenarios, minutes, rounds)
    expected = sum(expected_seconds(one, rounds, each) for one in scenarios.values())
    started, clock = datetime.now(UTC), time.monotonic()
    results: list[Result] = []
    left_out: list[str] = []
    errors: list[str] = []
    place = os.environ.get("TMPDIR") or Path.cwd()
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=place) as made:
        folder = Path(made)
        (folder / ".gitignore").write_text("*\n")
        if file_system(folder) == "tmpfs":
            click.echo("The files are on tmpfs, where nothing is durable: ignore PUTs", err=True)
        with Progress(expected) as progress:
            for name, scenario in scenarios.items():
                try:
                    measured, missing = run_scenario(
                        name, scenario, folder, rounds, each, progress.show
                    )
                except (click.ClickException, DidNotStart) as error:
                    errors.append(f"{name}: {error}")  # the other scenarios are worth their time
                    continue
                results += measured
                left_out += missing
        described = machine(folder)
    return Run(
        machine=described,
        versions=versions(),
        command=shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        started=f"{started:%Y-%m-%d %H:%M} UTC",
        took_seconds=time.monotonic() - clock,
        seconds=each,
        rounds=rounds,
        left_out=list(dict.fromkeys(left_out)),
        errors=errors,
        results=results,
    )


if __name__ == "__main__":
    main()
