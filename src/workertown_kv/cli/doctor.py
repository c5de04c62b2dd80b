"""Define `workertown-kv doctor`."""

import click

from .ending import ExitCode, has_colour
from .epilog import epilog
from .examining import Finding, Grade, examine
from .store import StoreChoice, run, whole_store_options

_COLOURS = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "red"}


@click.command(
    epilog=epilog(
        "doctor",
        "doctor --store postgres://kv@db/kv",
        codes={0: "no line fails", 1: "a line fails"},
    )
)
@whole_store_options
def doctor(*, store: StoreChoice) -> None:
    """Look at a store, and say what is wrong with it.

    Each line begins with ok, warn or fail. The command changes no entry, and makes no database.
    """
    code = 0

    async def act() -> None:
        nonlocal code
        async for finding in examine(store):
            _print(finding)
            if finding.grade is Grade.FAIL:
                code = max(code, finding.code or ExitCode.OTHER)

    run(act)
    if code:
        raise click.exceptions.Exit(code)


def _print(finding: Finding) -> None:
    grade = f"{finding.grade:<4}"
    if has_colour():
        grade = click.style(grade, fg=_COLOURS[finding.grade], bold=True)
    click.echo(f"{grade}  {finding.sentence}")
