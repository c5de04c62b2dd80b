"""What the commands share: which database, and saying in one line what is wrong with it."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..errors import KvError
from ..options import EnvOptions
from ..runtime import DEFAULT_DATABASE

_VARIABLE = EnvOptions().database

database_option: Callable[[Any], Any] = click.option(
    "--database",
    envvar=_VARIABLE,
    default=DEFAULT_DATABASE,
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="Storage URL, or the path of an SQLite file.",
)


def choose_database(url: str) -> None:
    """Make every server of this process, and of those it starts, use this database."""
    if not url:
        raise click.UsageError("--database is empty; expected a storage URL or a path")
    os.environ[_VARIABLE] = url


def without_credentials(url: str) -> str:
    """The URL as it may be printed: nothing of who connects, and with which password."""
    masked = re.sub("://[^/]*@", "://…@", url)
    return re.sub(r"(?i)(password=)[^&]*", r"\1…", masked)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the command with one line where the server or its storage cannot be used."""
    try:
        yield
    except KvError as error:
        raise click.ClickException(error.message) from error
