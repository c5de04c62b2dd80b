"""Write the line of a credential, for a variable or a file from which servers read it."""

from collections.abc import Callable
from typing import Any, Final

import click
import msgspec

from ...options import Credential
from .file import append
from .limits import Limits

file_option: Final[Callable[[Any], Any]] = click.option(
    "--file",
    type=click.Path(),
    metavar="FILE",
    help="Append the line to this file instead of printing it. A missing file is created, "
    "readable only by its owner.",
)


class NewLine:
    """Holds everything about a new credential except the hash of its secret."""

    def __init__(
        self, kind: type[Credential], name: str, limits: Limits, *, file: str | None
    ) -> None:
        """Raises `click.UsageError` for a credential that a server would not accept."""
        try:
            kind(name=name, hash="not known yet", scopes=limits.scopes).check()
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        self._kind = kind
        self._name = name
        self._limits = limits
        self._file = file

    def give(self, hash: str) -> None:
        """Print the credential's line, or append it to the file."""
        fields = {"name": self._name, "hash": hash, **self._limits.described()}
        line = msgspec.json.encode(fields).decode()
        if self._file is None:
            click.echo(line)
        else:
            append(self._kind, self._file, self._name, line)
            click.echo(f"Added {self._name} to {self._file}", err=True)
