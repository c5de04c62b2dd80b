"""Import the module of a command only when the command is used, and show commands in sections."""

import gc
import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

_Places = Mapping[str, Mapping[str, str]]
"""For each section, for each command, its module in this package and its name there."""


class LazyCommands(Mapping[str, click.Command]):
    """The commands of a group by their names. Looking a command up imports its module."""

    def __init__(self, sections: _Places) -> None:
        self._places = {name: place for some in sections.values() for name, place in some.items()}

    def __getitem__(self, name: str) -> click.Command:
        place, _, attribute = self._places[name].partition(":")
        module = f"{__package__}.{place}"
        if module not in sys.modules:
            _import(module)
        command: click.Command = getattr(sys.modules[module], attribute)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class LazyGroup(click.Group):
    """A group whose help shows the commands in sections, in their order."""

    def __init__(self, *, sections: _Places, **named: Any) -> None:
        super().__init__(**named)
        self.commands = LazyCommands(sections)  # type: ignore[assignment]  # no command is added
        self._sections = sections

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands))
        rest = formatter.width - 6 - width
        for section, names in self._sections.items():
            with formatter.section(section):
                formatter.write_dl(
                    [
                        # The names of all sections are equally wide.
                        (name.ljust(width), self.commands[name].get_short_help_str(rest))
                        for name in names
                    ]
                )


def _import(module: str) -> None:
    # An import leaves little garbage, and what it makes stays until the end. To look for garbage in
    # it again and again, and once more at the end, would take a quarter of the time.
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        importlib.import_module(module)
    finally:
        gc.freeze()
        if is_enabled:
            gc.enable()
