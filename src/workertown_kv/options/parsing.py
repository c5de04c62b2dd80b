"""Parse options: merge them deeply, check them, and raise errors that help."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from ..errors import OptionsError
from ..user import Scope, check_scopes
from .group import Group, Secret, fields_of, group_in, is_group, kinds_of, without_credentials
from .tree import Options

_T = TypeVar("_T", bound=msgspec.Struct)
_Path = tuple[str, ...]


def parse_options(
    options: Mapping[str, object] | Options | None = None,
    named: Mapping[str, object] | None = None,
) -> Options:
    """Return the options in force: `named` over `options` over the defaults, merged deeply.

    Raises `OptionsError` for the first name, type or value that is wrong.
    """
    return _parse(Options, given_options(options, named), ())


def given_options(
    options: Mapping[str, object] | Options | None, named: Mapping[str, object] | None
) -> dict[str, object]:
    """Merge `named` over `options` without checking them further."""
    given = _fields(options, Options) if isinstance(options, Options) else options or {}
    if not isinstance(given, Mapping):
        raise OptionsError(f"The options are {_shown(given)}; expected a mapping, or keywords")
    return merged(given, named or {})


def parse_lines(kind: type[_T], text: str, source: str) -> dict[str, _T]:
    """Read options of this type from JSON objects, one on each line; the keys name the lines.

    Blank lines and those that begin with `#` are skipped. Raises `OptionsError`, which names the
    source and the line, and shows no secret.
    """
    parsed = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            where = f"{source}, line {number}"
            try:
                given = msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError):
                given = None
            if not isinstance(given, dict):
                raise OptionsError(f"{where} is not a JSON object; expected {_named(kind)}")
            parsed[where] = _parse(kind, given, (where,))
    return parsed


def parse_scopes(given: object, claim: str) -> tuple[Scope, ...]:
    """Return the scopes in a claim of a token. Raises `OptionsError` if it is no list of scopes."""
    scopes = _value(tuple[Scope, ...], given, ("claim", claim))
    assert isinstance(scopes, tuple)
    try:
        check_scopes(scopes)
    except ValueError as error:
        raise OptionsError(f"claim.{claim}: {error}") from error
    return scopes


def _fields(group: msgspec.Struct, kind: type[msgspec.Struct]) -> dict[str, object]:
    """Return the options of a group as a mapping, which can be merged and checked."""
    return {name: getattr(group, name) for name in kind.__struct_fields__}


def merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Merge two mappings deeply; values of `above` win."""
    both = dict(below)
    for name, value in above.items():
        under = both.get(name)
        if isinstance(under, msgspec.Struct):
            under = _fields(under, type(under))
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            both[name] = merged(under, value)
        else:
            both[name] = value
    return both


def _parse(kind: type[_T], given: Mapping[str, object], path: _Path) -> _T:
    fields = fields_of(kind)
    for name in given:
        if name not in fields:
            raise OptionsError(unknown(name, tuple(fields), path))
    for field in fields.values():
        if field.required and field.name not in given:
            raise OptionsError(f"{_joined((*path, field.name))} is missing")
    values = {
        name: _value(fields[name].type, value, (*path, name)) for name, value in given.items()
    }
    try:
        parsed = kind(**values)
        if isinstance(parsed, Group):
            parsed.check()
    except ValueError as error:
        # A group does not know its own path.
        raise OptionsError(_joined((*path, str(error)))) from error
    return parsed


def _value(kind: Any, given: object, path: _Path) -> object:
    """Return the value of an option of this type. Raises `OptionsError` if `given` does not fit."""
    kinds = kinds_of(kind)
    for one in kinds:
        parsed = _fitted(one, given, path)
        if parsed is not _UNFIT:
            return parsed
    accepted = " or ".join(_named(one) for one in kinds)
    shown = type(given).__name__ if _is_private(path) else _shown(given)
    raise OptionsError(f"{_joined(path)} is {shown}; expected {accepted}")


def _is_private(path: _Path) -> bool:
    """Return whether an option at the path may hold a secret, also by mistake."""
    known = path[0] in Options.__struct_fields__
    return (
        not known
        or path[0] in ("audit", "auth", "metrics", "sentry", "get_env")
        or "rate_limit" in path
    )


_UNFIT: Final = object()


def _fitted(kind: Any, given: object, path: _Path) -> object:
    """Convert `given` to this type, which is no union; return `_UNFIT` if it does not fit."""
    origin = get_origin(kind)
    if kind is Any:
        return given
    if origin is Literal:
        same = (one for one in get_args(kind) if type(one) is type(given) and one == given)
        return next(same, _UNFIT)
    if origin is Callable:
        return given if callable(given) else _UNFIT
    if origin is tuple:
        if not isinstance(given, list | tuple):
            return _UNFIT
        (inner, _) = get_args(kind)
        return tuple(
            _value(inner, one, (*path[:-1], f"{path[-1]}[{index}]"))
            for index, one in enumerate(given)
        )
    if is_group(kind):
        if isinstance(given, Mapping):
            return _parse(kind, given, path)
        if isinstance(given, kind):
            # Python lets code make a struct with anything in it.
            return _parse(kind, _fields(given, kind), path)
        return kind() if given is True and _has_defaults(kind) else _UNFIT
    if kind is Secret and isinstance(given, str):
        return Secret(given)
    if kind is float and isinstance(given, int) and not isinstance(given, bool):
        return float(given)
    if isinstance(given, kind) and (kind is bool or not isinstance(given, bool)):
        return given
    return _UNFIT


def _has_defaults(kind: type[msgspec.Struct]) -> bool:
    return not any(field.required for field in fields_of(kind).values())


def _joined(path: _Path) -> str:
    """Write a path as people read it: `auth.jwt.env`, or `keys.jsonl, line 3: scopes`."""
    source, *rest = path
    return f"{source}{': ' if ' ' in source else '.'}{'.'.join(rest)}" if rest else source


_NAMES: Final[dict[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    Secret: "text",
    NoneType: "None",
}


def _named(kind: Any) -> str:
    """Describe what an option of this type accepts."""
    origin = get_origin(kind)
    if origin is Literal:
        return " or ".join(repr(one) for one in get_args(kind))
    if origin is Callable:
        return "a function"
    if origin is tuple:
        return f"a list, each {_named(get_args(kind)[0])}"
    if kind in _NAMES:
        return _NAMES[kind]
    return f"a mapping with {', '.join(kind.__struct_fields__)}"


def _shown(given: object) -> str:
    # It may be a URL with a password, by mistake.
    shown = without_credentials(repr(given))
    return f"{shown if len(shown) < 60 else shown[:60] + '…'} ({type(given).__name__})"


def unknown(name: str, siblings: tuple[str, ...], path: _Path) -> str:
    """Write the error about an unknown option, with the nearest option and all accepted ones."""
    snake_case = re.sub("(?<=[a-z])(?=[A-Z])", "_", str(name)).lower()
    near = [(*path, sibling) for sibling in difflib.get_close_matches(snake_case, siblings, n=1)]
    near += [known for known in all_paths(Options) if known[-1] == snake_case]
    hint = f"; did you mean {_joined(near[0])}?" if near else "."
    return (
        f"There is no option {_joined((*path, str(name)))}{hint} "
        f"Accepted here: {', '.join(siblings)}"
    )


def all_paths(kind: type[msgspec.Struct], path: _Path = ()) -> Iterator[_Path]:
    """Return the paths of all options, including groups."""
    for name, field in fields_of(kind).items():
        here = (*path, name)
        yield here
        group = group_in(field.type)
        if group:
            yield from all_paths(group, here)
