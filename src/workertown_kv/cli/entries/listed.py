"""Print the pages of a listing: as a table, as lines of text, or as lines of JSON."""

import sys
from collections.abc import Callable, Sequence
from typing import Final

from ...entry import Entry, KeyInfo
from .lines import json_line, line_of, shown_name, shown_value

Listed = KeyInfo | str
"""A key, a whole entry, or the name of a folder."""

_UNITS: Final = (("d", 86_400), ("h", 3600), ("min", 60))


def printer(
    *, as_json: bool, values: bool, is_terminal: bool, now: Callable[[], float]
) -> Callable[[Sequence[Listed]], None]:
    """Return the function that prints a page."""
    if as_json:
        return lambda page: _write(map(_json, page))
    if is_terminal:
        return Table(now, values=values).print
    return lambda page: _write(map(_line, page))


class Table:
    """Prints the pages of a listing as one table."""

    def __init__(self, now: Callable[[], float], *, values: bool) -> None:
        self._now = now
        self._values = values
        self._is_begun = False

    def print(self, page: Sequence[Listed]) -> None:
        """Print the rows of a page; the first page also has the heads of the columns."""
        # Importing rich takes longer than most commands.
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        # The whole width, so that the columns of all pages are below one another.
        table = Table(box=None, expand=True, show_header=not self._is_begun, header_style="bold")
        table.add_column("key", ratio=2, no_wrap=True)
        if self._values:
            table.add_column("value", ratio=3, no_wrap=True)
        table.add_column("expires", width=10, no_wrap=True)
        table.add_column("metadata", ratio=1, no_wrap=True)
        now = self._now()
        for one in page:
            if isinstance(one, str):
                table.add_row(Text(shown_name(one), "bold blue"))
                continue
            cells = [Text(shown_name(one.key), "cyan")]
            if self._values:
                assert isinstance(one, Entry)
                cells.append(Text(shown_value(one.value, is_json=one.is_json)))
            cells.append(Text(expiry(one.expires_at, now), "yellow"))
            cells.append(Text(shown_value(one.metadata or b"", is_json=True), "dim"))
            table.add_row(*cells)
        if page:
            Console().print(table)
            self._is_begun = True


def expiry(expires_at: float | None, now: float) -> str:
    """Return in how much time an entry expires, in words."""
    if expires_at is None:
        return ""
    left = max(expires_at - now, 0)
    for unit, seconds in _UNITS:
        if left >= 2 * seconds:
            return f"in {left / seconds:,.0f} {unit}"
    return f"in {left:.0f} s"


def _json(listed: Listed) -> str:
    if isinstance(listed, KeyInfo):
        return json_line(listed)
    return line_of({"folder": listed})


def _line(listed: Listed) -> str:
    if isinstance(listed, Entry):
        return f"{shown_name(listed.key)}\t{shown_value(listed.value, is_json=listed.is_json)}"
    return shown_name(listed.key if isinstance(listed, KeyInfo) else listed)


def _write(lines: "map[str]") -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
