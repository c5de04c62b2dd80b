"""Collect the options of a server from a file, from variables, and from code."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import OptionsError
from .files import Files
from .options import (
    CONFIG,
    Environment,
    Layer,
    Options,
    given_options,
    is_async,
    layer_of_code,
    layer_of_file,
    layer_of_variables,
    text_of,
)


def layers_of(
    options: Mapping[str, object] | Options | None, named: Mapping[str, object], files: Files
) -> Sequence[Layer]:
    """Return the layers of options, the lowest first. Raises `OptionsError`."""
    given = given_options(options, named)
    given.setdefault("get_env", _os_environment)
    code = layer_of_code(given)
    if isinstance(options, Options):
        # It has every option already.
        return [code]
    # The parser reports a `get_env` that cannot be called.
    get_env: Any = given["get_env"]
    environment = get_env() if callable(get_env) and not is_async(get_env) else {}
    if not hasattr(environment, "get"):
        raise OptionsError(f"get_env returned {type(environment).__name__}; expected a mapping")
    layers = [layer_of_variables(environment), code]
    path = text_of(environment, CONFIG)
    if path:
        layers.insert(0, read_file(path, files)[0])
    return layers


def read_file(path: str, files: Files) -> tuple[Layer, Mapping[str, object]]:
    """Return the options of a TOML file, and its table for the command."""
    return layer_of_file(files.text(path), path)


def _os_environment() -> Environment:
    return os.environ
