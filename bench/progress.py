"""Shows what runs now, and about how long the rest takes."""

import sys
from types import TracebackType
from typing import Self

import click


class Progress:
    """Shows a bar on a terminal, and a line for each step elsewhere. A context manager."""

    def __init__(self, seconds: float) -> None:
        self._total = self._left = seconds
        self._bar = click.progressbar(
            length=max(1, round(seconds)),
            file=sys.stderr,
            item_show_func=lambda label: label,
            show_eta=False,
        )

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.__exit__(kind, error, traceback)

    def show(self, step: str, seconds: float) -> None:
        """Show that a step begins which takes about so many seconds."""
        left = f"{step}; about {max(1, round(self._left / 60))} min left"
        if sys.stderr.isatty():
            self._bar.update(round(seconds), left)
        else:
            click.echo(left, err=True)
        self._left -= seconds
