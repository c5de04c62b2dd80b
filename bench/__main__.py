"""The command: `python -m bench --help`."""

import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from .programs import check_all
from .report import NOTES, file_system, heading, table
from .scenarios import SCENARIOS, Measurement, measure


@click.command()
@click.option("--seconds", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--scenario",
    "chosen",
    type=click.Choice(list(SCENARIOS)),
    multiple=True,
    help="What to measure; may be repeated. All, if left out.",
)
def main(*, seconds: int, rounds: int, chosen: Sequence[str]) -> None:
    """Measure the server beside webdis and nginx; a table in Markdown, medians of the rounds.

    Files are kept in TMPDIR, or else in a folder made here for the time.
    """
    # Whatever ends the bench, let the servers be stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    check_all()
    place = os.environ.get("TMPDIR") or Path.cwd()
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=place) as made:
        folder = Path(made)
        (folder / ".gitignore").write_text("*\n")
        if file_system(folder) == "tmpfs":
            _say("WARNING: the files are on tmpfs, where nothing is durable: compare no PUTs")
        click.echo(heading(folder))
        measured = _measure_all(folder, seconds, rounds, chosen or list(SCENARIOS))
    click.echo("\n".join(table(measured)))
    click.echo(f"\n{NOTES}")
    failed = sum(one.figures.failed for one in measured)
    if failed:
        raise click.ClickException(f"{failed:,} REQUESTS FAILED: these figures are not valid")


def _measure_all(
    folder: Path, seconds: int, rounds: int, names: Sequence[str]
) -> list[Measurement]:
    measured = []
    # Round by round, so that what else the machine does meanwhile meets all of them.
    for i in range(rounds):
        for name in names:
            for start in SCENARIOS[name].starts:
                for one in measure(name, start, folder, seconds):
                    figures = one.figures
                    _say(
                        f"round {i + 1} of {rounds}: {name}, {one.server}, {one.load.name}: "
                        f"{figures.per_second:,.0f} requests/s, p50 {figures.p50_ms:.2f} ms, "
                        f"p99 {figures.p99_ms:.2f} ms, {figures.failed} failed, "
                        f"CPU {one.cpu_us:.1f} µs/request; others {one.others:.0%} of the machine"
                    )
                    measured.append(one)
    return measured


def _say(line: str) -> None:
    click.echo(line, err=True)


main()
