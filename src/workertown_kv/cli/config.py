"""Define `workertown-kv config`, which prints the options in force and the source of each."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args, get_origin

import click
import msgspec

from ..files import Files
from ..option_sources import layers_of
from ..options import (
    Layer,
    Options,
    Secret,
    parse_layers,
    source_of,
    unread_variables,
    variable_of,
    without_credentials,
)
from .config_file import config_option
from .ending import one_line_errors

_Path = tuple[str, ...]


@click.command()
@config_option
@click.option(
    "--all", "everything", is_flag=True, help="Also print options that have their default."
)
def config(everything: bool) -> None:
    """Print the options in force as a TOML file.

    A comment beside each option names its source. Secrets are hidden. Options that have their
    default are left out; --all prints them too, each with its variable.
    """
    with one_line_errors():
        layers = layers_of(None, {}, Files())
        options = parse_layers(layers)
        lines = [*_lines(options, layers, everything=everything), *_variables_set(options)]
    for line in lines or ["# Every option has its default; --all prints them"]:
        click.echo(line)


def _lines(options: Options, layers: Sequence[Layer], *, everything: bool) -> Iterator[str]:
    for path, value, kinds in _leaves(options, Options, ()):
        is_secret = Secret in kinds or _has_secrets(value)
        is_function = any(get_origin(kind) is Callable for kind in kinds)
        source = source_of(path, layers)
        if path == ("get_env",) or (source is None and not everything):
            continue
        shown = "(hidden)" if is_secret and value is not None else _toml(value)
        line = f"{'.'.join(path)} = {shown}"
        if is_secret or shown in _UNSET:
            # TOML cannot express "none", and a secret must not end up in a file.
            line = f"# {line}"
        default = "only in code" if is_function else variable_of(path)
        yield f"{line}  # {source or f'default; {default}'}"


def _variables_set(options: Options) -> Iterator[str]:
    """Yield a line for each variable that the server reads itself, and for each unread one."""
    for path, name, _ in _leaves(options, Options, ()):
        if "env" in path and name and options.environment(name):
            yield f"# {name} is set  # {'.'.join(path)}"
    for variable in unread_variables(options):
        yield f"# {variable.sentence}"


_UNSET = ("none", "a function")


def _leaves(group: Any, kind: Any, path: _Path) -> Iterator[tuple[_Path, Any, Sequence[Any]]]:
    """Yield the path, the value and the permitted types of every option."""
    for field in msgspec.structs.fields(kind):
        value = getattr(group, field.name)
        here = (*path, field.name)
        if isinstance(value, msgspec.Struct):
            yield from _leaves(value, type(value), here)
        else:
            yield here, value, (field.type, *get_args(field.type))


def _has_secrets(value: Any) -> bool:
    """Return whether the value is a list of credentials."""
    return isinstance(value, tuple) and any(isinstance(item, msgspec.Struct) for item in value)


def _toml(value: Any) -> str:
    if value is None:
        return "none"
    if callable(value):
        return "a function"
    if isinstance(value, str):
        # It may be a URL with a password, by mistake.
        value = without_credentials(value)
    # Options use only the syntax that JSON and TOML share. A runtime that is none is checked where
    # it is used.
    return json.dumps(value, ensure_ascii=False, default=str)
