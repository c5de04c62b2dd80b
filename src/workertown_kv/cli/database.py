"""Share `--database`, and the server that it describes, between the commands."""

import logging
import os
from collections.abc import Callable
from typing import Any, Final

import click
from click.types import OptionHelpExtra

from ..errors import OptionsError
from ..files import Files, is_missing
from ..options import EnvOptions, check_text, unread_variables, without_credentials
from ..runtime import DEFAULT_DATABASE
from ..server import Server
from ..server.making import kv_from
from .config_file import config_option
from .ending import one_line_errors
from .flag import Flag

_VARIABLE: Final = EnvOptions().database
_LOG: Final = logging.getLogger("workertown_kv")


class _DatabaseOption(Flag):
    """Hides the password in its help if the default comes from a file."""

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        extra = super().get_help_extra(ctx)
        if "default" in extra:
            extra["default"] = without_credentials(extra["default"])
        return extra


_database_option: Callable[[Any], Any] = click.option(
    "--database",
    cls=_DatabaseOption,
    envvar=_VARIABLE,
    default=DEFAULT_DATABASE,
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="Storage URL, or the path of an SQLite file.",
)


def database_option(command: Any) -> Any:
    """Add the flags `--database` and `--config` to a command."""
    return config_option(_database_option(command))


def choose_database(url: str) -> None:
    """Make every server of this process and of its child processes use this database."""
    if not url:
        raise click.UsageError("--database is empty; expected a storage URL or a path")
    with one_line_errors():
        check_text("--database", url)
    os.environ[_VARIABLE] = url


def configured_server(files: Files) -> Server:
    """Return the server that options and variables describe.

    Raises `OptionsError` for a variable with a misspelt name. It would be ignored, and the server
    might use another database, or create an API key that may do everything.
    """
    server = kv_from(files)
    for variable in unread_variables(server.options):
        if variable.near is not None:
            raise OptionsError(variable.sentence)
        _LOG.warning("%s", variable.sentence)
    return server


def made_by_opening(server: Server) -> bool:
    """Return whether opening the storage would create its file."""
    file = server.runtime.storage.file
    return file is not None and is_missing(file)


def check_made(server: Server) -> None:
    """Raise `OptionsError` if opening the storage would create a database."""
    if made_by_opening(server):
        raise OptionsError(
            f"There is no database {server.runtime.storage.file}; expected one that `serve` or "
            "`migrate` has made, named by --database or KV_DB"
        )
