"""What the commands share: which database and options, and errors in one line."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.types import OptionHelpExtra

from ..errors import KvError, OptionsError
from ..files import Files
from ..options import EnvOptions, without_credentials
from ..runtime import DEFAULT_DATABASE
from ..server.layers import CONFIG_VARIABLE, read_file

_VARIABLE = EnvOptions().database


def _choose_config(context: click.Context, _param: click.Parameter, path: str | None) -> None:
    """Make every server of this process, and of those it starts, use this file."""
    if path:
        with one_line_errors():
            flags = read_file(path, Files())[1]
            known = {one.name for one in context.command.params}
            for name in flags:
                # Each command has some of the flags, and serve has all of them.
                if name not in known and context.command.name == "serve":
                    expected = ", ".join(sorted(known - {"config"}))
                    raise OptionsError(
                        f"{path}: there is no flag serve.{name}; expected {expected}"
                    )
        context.default_map = {name: value for name, value in flags.items() if name in known}
        os.environ[CONFIG_VARIABLE] = path


config_option: Callable[[Any], Any] = click.option(
    "--config",
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_choose_config,
    help="TOML file with options, and with the flags of serve in the table [serve].",
)


class _DatabaseOption(click.Option):
    """Shows no password in its help, where a file has the default."""

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
    """The flags that say which database, and which file has the options."""
    return config_option(_database_option(command))


def choose_database(url: str) -> None:
    """Make every server of this process, and of those it starts, use this database."""
    if not url:
        raise click.UsageError("--database is empty; expected a storage URL or a path")
    os.environ[_VARIABLE] = url


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the command with one line where the server or its storage cannot be used."""
    try:
        yield
    except KvError as error:
        raise click.ClickException(error.message) from error
