"""Find out which numbered migrations are due, in every SQL database."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...errors import StorageError
from ..contract import Migration


class Script(NamedTuple):
    """The statements of a migration and those that undo it; `{table}` is the table's name."""

    up: Sequence[str]
    down: Sequence[str]


class Migrations:
    """Every change of the schema of a table, in order."""

    def __init__(self, scripts: Mapping[str, Script], table: str) -> None:
        self._scripts = scripts
        self._table = table

    def __len__(self) -> int:
        return len(self._scripts)

    def check(self, ran: int, database: str) -> int:
        """Return how many have run. Raises `StorageError` for a schema of a newer program."""
        if ran > len(self):
            raise StorageError(
                f"{database} has schema {ran}, made by a newer workertown-kv; "
                f"this one knows schemas up to {len(self)}"
            )
        return ran

    def due(self, ran: int, to: int | None) -> Sequence[tuple[Migration, Sequence[str]]]:
        """Return the migrations to run or, after `to`, to undo, with their statements."""
        aim = len(self) if to is None else to
        if not 0 <= aim <= len(self):
            raise StorageError(f"There are {len(self)} migrations; {aim} of them cannot have run")
        names = list(self._scripts)
        return [
            *((Migration(name), self._texts(self._scripts[name].up)) for name in names[ran:aim]),
            *(
                (Migration(name, "down"), self._texts(self._scripts[name].down))
                for name in reversed(names[aim:ran])
            ),
        ]

    def _texts(self, texts: Sequence[str]) -> Sequence[str]:
        return [text.format(table=self._table) for text in texts]
