"""Define `--config`, the TOML file with options that the commands share."""

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
from click.types import StringParamType

from ..errors import OptionsError
from ..files import Files
from ..option_sources import read_file
from ..options import CONFIG, FLAGS, Options
from .ending import one_line_errors
from .flag import Flag


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
