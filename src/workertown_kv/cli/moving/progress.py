"""Show on a terminal how far a command has come, and how fast."""

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar(AbstractContextManager["Bar"]):
    """Shows a bar on the standard error, if that is a terminal.

    With a total, the bar is full once so many steps are done; without, it only moves.
    """

    def __init__(self, doing: str, total: int | None = None) -> None:
        self._doing = doing
        self._total = total
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._entries = 0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            # Only a terminal needs it, and its import takes long.
            from rich.console import Console  # noqa: PLC0415
            from rich.progress import (  # noqa: PLC0415
                BarColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[entries]:,} entries"),
                TimeElapsedColumn() if self._total is None else TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._progress.add_task(self._doing, total=self._total, entries=0)
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def add_entries(self, entries: int) -> None:
        """Show that more entries are done."""
        self.show(entries=self._entries + entries)

    def show(self, *, entries: int | None = None, steps: int | None = None) -> None:
        """Show how many entries, or steps of the total, are done."""
        if entries is not None:
            self._entries = entries
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=steps, entries=self._entries)
