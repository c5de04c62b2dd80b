"""Share `--database`, `--config` and errors of one line between the commands."""

import difflib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import click
from click.types import OptionHelpExtra, StringParamType

from ..errors import KvError, OptionsError
from ..files import Files
from ..options import (
    CONFIG,
    FLAGS,
    EnvOptions,
    Options,
    check_text,
    unread_variables,
    without_credentials,
)
from ..runtime import DEFAULT_DATABASE
from ..server import Server
from ..server.making import kv_from
from ..server.option_sources import read_file
from .flag import Flag

_VARIABLE: Final = EnvOptions().database
_LOG: Final = logging.getLogger("workertown_kv")


def _choose_config(context: click.Context, _param: click.Parameter, path: str | None) -> None:
    """Make every server of this process and of its child processes use this file."""
    if path is None:
        return
    if not path:
        raise click.UsageError("--config is empty; expected the path of a TOML file")
    with one_line_errors():
        layer, flags = read_file(path, Files())
        _check_tables(path, layer.values)
        known = {parameter.name or "": parameter for parameter in context.command.params}
        if context.command.name == "serve":
            # Each command has some of the flags, and serve has all of them.
            _check_flags(path, flags, known)
    context.default_map = {name: value for name, value in flags.items() if name in known}
    os.environ[CONFIG] = path


def _check_tables(path: str, given: Iterable[str]) -> None:
    """Refuse flags outside the table `serve`, and tables whose name is nearly `serve`."""
    flags = [flag.replace("-", "_") for flag in (*FLAGS, "database")]
    for name in given:
        if name in Options.__struct_fields__:
            continue
        near = f"serve.{name.replace('-', '_')}" if name.replace("-", "_") in flags else ""
        if near or difflib.get_close_matches(name, ["serve"]):
            raise OptionsError(
                f"{path}: There is no option {name}; did you mean {near or 'serve'}?"
            )


def _check_flags(
    path: str, given: Mapping[str, object], known: Mapping[str, click.Parameter]
) -> None:
    names = sorted(known.keys() - {"config"})
    for name, value in given.items():
        if name not in names:
            near = difflib.get_close_matches(name.replace("-", "_"), names, n=1)
            hint = f"; did you mean serve.{near[0]}?" if near else f"; expected {', '.join(names)}"
            raise OptionsError(f"{path}: there is no flag serve.{name}{hint}")
        is_text = isinstance(value, str)
        is_wrong = isinstance(known[name].type, StringParamType) and not is_text
        if is_wrong or isinstance(value, list | dict):
            expected = "text" if is_wrong else "a single value"
            raise OptionsError(
                f"{path}: serve.{name} is {type(value).__name__}; expected {expected}"
            )


config_option: Callable[[Any], Any] = click.option(
    "--config",
    cls=Flag,
    envvar=CONFIG,
    show_envvar=True,
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_choose_config,
    help="TOML file with options; the flags of serve go into its table [serve].",
)


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
    return file is not None and not file.exists()


def check_made(server: Server) -> None:
    """Raise `OptionsError` if opening the storage would create a database."""
    if made_by_opening(server):
        raise OptionsError(
            f"There is no database {server.runtime.storage.file}; expected one that `serve` or "
            "`migrate` has made, named by --database or KV_DB"
        )


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the command with one line if the server or its storage cannot be used."""
    try:
        yield
    except KvError as error:
        raise click.ClickException(error.message) from error
