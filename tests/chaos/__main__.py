"""The command: `make chaos ARGS="sqlite --seconds 120"`."""

import asyncio
import random
import tempfile
from pathlib import Path
from time import monotonic

import click

from .run import Chaos, Figures
from .servers import ENGINES, running_engine


@click.command()
@click.argument("engine", type=click.Choice(ENGINES))
@click.option("--seconds", default=60, show_default=True, help="How long to write.")
@click.option(
    "--entries",
    default=100_000,
    show_default=True,
    help="How many changes the servers keep. With few of them, readers are reset.",
)
@click.option(
    "--pause", default=2.0, show_default=True, help="The average seconds between two kills."
)
def main(engine: str, seconds: int, entries: int, pause: float) -> None:
    """Kill servers over an ENGINE while clients write, and check what readers of changes get."""
    with tempfile.TemporaryDirectory() as logs:
        figures = asyncio.run(_run(engine, seconds, entries, pause, Path(logs)))
    click.echo(f"{engine}, {seconds} s: {figures}")
    if figures.faults:
        raise SystemExit(1)


async def _run(engine: str, seconds: int, entries: int, pause: float, logs: Path) -> Figures:
    with running_engine(engine) as running:
        async with Chaos(running, logs, entries=entries) as chaos:
            deadline = monotonic() + seconds
            return await chaos.run(
                lambda: monotonic() > deadline, lambda: random.uniform(0, 2 * pause)
            )


if __name__ == "__main__":
    main()
