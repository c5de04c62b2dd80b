"""From what was given to the options in force: deep merge, checks, and errors that help."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from ..errors import OptionsError
from .tree import Options, Secret

_T = TypeVar("_T", bound=msgspec.Struct)
_Path = tuple[str, ...]


def parse_options(
    options: Mapping[str, object] | Options | None = None,
    named: Mapping[str, object] | None = None,
) -> Options:
    """The options in force: `named` over `options` over the defaults, merged deeply.

    Raises `OptionsError` for the first name, type or value that is wrong.
    """
    given = _plain(options) if isinstance(options, Options) else options or {}
    if not isinstance(given, Mapping):
        raise OptionsError(f"The options are {_shown(given)}; expected a mapping, or keywords")
    parsed = _parse(Options, _merged(given, named or {}), ())
    _check(parsed)
    return parsed


def _plain(options: msgspec.Struct) -> dict[str, object]:
    """The options as nested mappings that can be merged and parsed again."""
    values = {name: getattr(options, name) for name in options.__struct_fields__}
    return {
        name: _plain(value) if isinstance(value, msgspec.Struct) else value
        for name, value in values.items()
    }


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            merged[name] = _merged(under, value)
        else:
            merged[name] = value
    return merged


def _parse(kind: type[_T], given: Mapping[str, object], path: _Path) -> _T:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name in given:
        if name not in fields:
            raise OptionsError(_unknown(name, tuple(fields), path))
    return kind(
        **{name: _value(fields[name].type, value, (*path, name)) for name, value in given.items()}
    )


def _value(kind: Any, given: object, path: _Path) -> object:
    """What an option of this type becomes from what was given for it."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for one in kinds:
        if one is Any or one is bool:
            return given
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            if isinstance(given, Mapping):
                return _parse(one, given, path)
            if given is True:
                return one()
        elif one is Secret and isinstance(given, str):
            return Secret(given)
        elif get_origin(one) is Literal:
            if given is False:
                return given
        elif get_origin(one) is Callable:
            if callable(given):
                return given
        elif isinstance(given, one) and not (one is int and isinstance(given, bool)):
            return given
    accepted = " or ".join(_NAMES.get(one) or _named(one) for one in kinds)
    # Whatever stands below `auth` may be a secret in the wrong place.
    shown = type(given).__name__ if path[0] == "auth" else _shown(given)
    raise OptionsError(f"{'.'.join(path)} is {shown}; expected {accepted}")


_NAMES: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    Secret: "text",
    NoneType: "None",
    Literal[False]: "False",
}


def _named(kind: Any) -> str:
    if get_origin(kind) is Callable:
        return "a function"
    return f"a mapping with {', '.join(kind.__struct_fields__)}"


def _shown(given: object) -> str:
    shown = repr(given)
    return f"{shown if len(shown) < 60 else shown[:60] + '…'} ({type(given).__name__})"


def _unknown(name: str, siblings: tuple[str, ...], path: _Path) -> str:
    snake_case = re.sub("(?<=[a-z])(?=[A-Z])", "_", str(name)).lower()
    near = [(*path, sibling) for sibling in difflib.get_close_matches(snake_case, siblings, n=1)]
    near += [known for known in _all_paths(Options) if known[-1] == snake_case]
    hint = f"; did you mean {'.'.join(near[0])}?" if near else "."
    return (
        f"There is no option {'.'.join((*path, str(name)))}{hint} "
        f"Accepted here: {', '.join(siblings)}"
    )


def _all_paths(kind: type[msgspec.Struct], path: _Path = ()) -> Iterator[_Path]:
    for field in msgspec.structs.fields(kind):
        here = (*path, field.name)
        yield here
        for one in (field.type, *get_args(field.type)):
            if isinstance(one, type) and issubclass(one, msgspec.Struct):
                yield from _all_paths(one, here)


def _check(options: Options) -> None:
    endpoints = options.endpoints
    for name, path in (
        ("base_path", options.base_path),
        ("endpoints.v1.admin", endpoints.v1.admin),
        ("endpoints.v1.kv", endpoints.v1.kv),
        ("endpoints.public", endpoints.public),
    ):
        if path is not False and not path.startswith("/"):
            raise OptionsError(f"{name} is {path!r}; expected a path that starts with '/'")
        if path is not False and any(mark in path for mark in "?#{}%"):
            raise OptionsError(f"{name} is {path!r}; expected a path without ? # % {{ }}")
    for limit in options.limits.__struct_fields__:
        size = getattr(options.limits, limit)
        if size < 1:
            raise OptionsError(f"limits.{limit} is {size}; expected a whole number of at least 1")
