"""Read options from variables and from a TOML file.

Options in code win over variables, variables over the file, and the file over the defaults. Each
layer is a nested mapping, as code would give it, with the source of each option.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from ..errors import OptionsError
from .environment import check_text
from .group import Secret, fields_of, group_in, is_group, kinds_of
from .parsing import all_paths, merged, parse_options, unknown
from .tree import Options

PREFIX: Final = "KV_OPTIONS__"
"""The beginning of the names of variables; two underscores join the parts of the path."""

CODE: Final = "code"
"""The source of the options that code gives to `kv()`."""

_Path = tuple[str, ...]


class Layer(msgspec.Struct, frozen=True):
    """Holds some options, and the source of each."""

    values: Mapping[str, object]
    sources: Mapping[_Path, str]


def variable_of(path: Sequence[str]) -> str:
    """Return the name of the variable for an option."""
    return PREFIX + "__".join(path).upper()


def layer_of_code(values: Mapping[str, object]) -> Layer:
    """Return the options that code gave to `kv()`."""
    return Layer(values, dict.fromkeys(_leaves(values), CODE))


def layer_of_variables(environment: Mapping[str, str]) -> Layer:
    """Return the options in variables. Raises `OptionsError`, which names the variable."""
    values: dict[str, object] = {}
    sources: dict[_Path, str] = {}
    for name in sorted(names_in(environment)):
        text = environment.get(name)
        if not name.upper().startswith(PREFIX) or not isinstance(text, str) or not text:
            continue
        check_text(f"The variable {name}", text, lines=True)
        path = tuple(name[len(PREFIX) :].lower().split("__"))
        kind = _kind_of(path, name)
        if path in sources:
            raise OptionsError(
                f"The variables {sources[path]} and {name} are the same; expected one"
            )
        value = _read(kind, text)
        if value is _UNFIT:
            raise OptionsError(f"The variable {name} does not fit; expected {_expected(kind)}")
        # White space around and between the parts of JSON has no meaning.
        is_json = isinstance(value, list | dict) and text.lstrip().startswith(("[", "{"))
        check_text(f"The variable {name}", text, lines=is_json)
        values = merged(values, _nested(path, value))
        sources[path] = name
    return Layer(values, sources)


def layer_of_file(text: str, source: str) -> tuple[Layer, Mapping[str, object]]:
    """Return the options of a TOML file, and its table `serve`, which is for the command.

    Raises `OptionsError` for text that is not TOML.
    """
    import tomllib  # noqa: PLC0415  (few servers have such a file)

    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionsError(f"{source} is not TOML: {error}") from error
    serve = values.pop("serve", {})
    if not isinstance(serve, dict):
        raise OptionsError(f"{source}: serve is no table; expected the flags of the command")
    return Layer(values, dict.fromkeys(_leaves(values), source)), serve


def parse_layers(layers: Sequence[Layer]) -> Options:
    """Merge the layers, the lowest first, and parse them. An error names its source."""
    values: Mapping[str, object] = {}
    sources: dict[_Path, str] = {}
    for layer in layers:
        values = merged(values, layer.values)
        sources |= layer.sources
    try:
        return parse_options(values)
    except OptionsError as error:
        raise _with_source(error, sources) from error


def source_of(path: _Path, layers: Sequence[Layer]) -> str | None:
    """Return the source of an option: the highest layer that sets it, or a group around it."""
    for layer in reversed(layers):
        for end in range(len(path), 0, -1):
            if path[:end] in layer.sources:
                return layer.sources[path[:end]]
    return None


def _with_source(error: OptionsError, sources: Mapping[_Path, str]) -> OptionsError:
    named = {".".join(map(str, path)): source for path, source in sources.items()}
    at = [name for name in named if name in error.message]
    # The message has the wrong option first, and then the suggestions.
    at.sort(key=lambda name: (error.message.index(name), -len(name)))
    source = named[at[0]] if at else CODE
    return error if source == CODE else OptionsError(f"{error.message} (from {source})")


def names_in(environment: Mapping[str, str]) -> Iterator[str]:
    """Return the names of the variables in an environment."""
    try:
        yield from list(environment)
    except TypeError:
        # An environment that cannot be listed still has `get`.
        yield from (variable_of(path) for path in all_paths(Options))


def _kind_of(path: _Path, name: str) -> Any:
    kind: Any = Options
    for depth, part in enumerate(path):
        group = group_in(kind)
        fields = fields_of(group) if group else {}
        if part not in fields:
            hint = unknown(part, tuple(fields), path[:depth])
            raise OptionsError(f"The variable {name} is for no option. {hint}")
        kind = fields[part].type
    return kind


_UNFIT: Final = object()
_TEXTS: Final = (str, Secret, Any)
_FLAGS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _read(kind: Any, text: str) -> object:
    """Return the value of a text for an option of this type, or `_UNFIT`."""
    # Any text fits an option that accepts text, so the other types come first.
    kinds = sorted(kinds_of(kind), key=lambda one: one in _TEXTS)
    for one in kinds:
        if get_origin(one) is tuple and str in kinds and not ("," in text or text.startswith("[")):
            continue
        value = text if one in _TEXTS else _read_one(one, text.strip())
        if value is not _UNFIT:
            return value
    return _UNFIT


def _read_one(kind: Any, text: str) -> object:
    origin = get_origin(kind)
    flag = _FLAGS.get(text.lower())
    if kind is bool:
        return _UNFIT if flag is None else flag
    if origin is Literal:
        accepted = get_args(kind)
        return next((one for one in (text, flag) if one in accepted and one is not None), _UNFIT)
    if kind in (int, float):
        try:
            return kind(text.replace("_", ""))
        except ValueError:
            return _UNFIT
    if origin is tuple:
        (inner, _) = get_args(kind)
        listed = text.startswith("[") or is_group(inner)
        return _json(text, list) if listed else [one.strip() for one in text.split(",")]
    if is_group(kind):
        return True if flag else _json(text, dict)
    return _UNFIT


def _json(text: str, kind: type) -> object:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return _UNFIT
    return value if isinstance(value, kind) else _UNFIT


def _expected(kind: Any) -> str:
    return " or ".join(dict.fromkeys(filter(None, map(_expected_one, kinds_of(kind)))))


def _expected_one(kind: Any) -> str:
    origin = get_origin(kind)
    if kind is bool:
        return "true or false"
    if origin is Literal:
        return " or ".join(str(one).lower() for one in get_args(kind))
    if kind in (int, float):
        return "a whole number" if kind is int else "a number"
    if origin is tuple:
        return "a list in JSON" if is_group(get_args(kind)[0]) else "texts with commas between"
    if is_group(kind):
        return f"true, an object in JSON, or variables for {', '.join(kind.__struct_fields__)}"
    if origin is not None and origin is Callable:
        return "nothing: it is a function, and can only be set in code"
    return "" if kind is NoneType else "text"


def _nested(path: _Path, value: object) -> dict[str, object]:
    nested: object = value
    for part in reversed(path):
        nested = {part: nested}
    assert isinstance(nested, dict)
    return nested


def _leaves(values: Mapping[str, object], path: _Path = ()) -> Iterator[_Path]:
    for name, value in values.items():
        here = (*path, name)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, here)
        else:
            yield here
