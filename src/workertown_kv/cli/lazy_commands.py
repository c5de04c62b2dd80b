"""Import the module of a command only when the command is used."""

import importlib
from collections.abc import Iterator, Mapping

import click


class LazyCommands(Mapping[str, click.Command]):
    """The commands of a group by their names. Looking a command up imports its module.

    `places` has, for each command, its module in this package and its name there.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = self._places[name].partition(":")
        command: click.Command = getattr(
            importlib.import_module(f".{module}", __package__), attribute
        )
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
